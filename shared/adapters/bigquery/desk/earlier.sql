-- Verdicts of cases that share an account with a Pix.
SELECT review.*
FROM `{dataset}.reviews` AS review
JOIN (
  SELECT DISTINCT end_to_end_id
  FROM (
    {shared}
  ) AS either
  WHERE end_to_end_id != @own
) AS shared ON shared.end_to_end_id = review.end_to_end_id
WHERE review.`at` >= @since AND review.event = 'JUDGED'
ORDER BY review.`at` DESC
LIMIT {most}
