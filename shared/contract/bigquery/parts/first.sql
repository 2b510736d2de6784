-- The first row of each Pix and side. The store of history numbers the claims of a Pix, so its order is that of the
-- decisions, whatever the clocks of instances say. Where it did not answer, the rows of one message are in the order of
-- its attempts, and copies of it in the order in which they were first scored: a clock is all that is left. Clocks may
-- differ by seconds, within which a row with numbers comes first.
SELECT * EXCEPT (unnumbered, seen_at, begun_at)
FROM (
  SELECT *, MIN(seen_at) OVER (PARTITION BY end_to_end_id, COALESCE(side, 'PAYER'), published_at) AS begun_at
  FROM (
    SELECT
      *,
      MAX(IF(claim_number IS NULL OR {number} IS NULL, 1, 0)) OVER (
        PARTITION BY end_to_end_id, COALESCE(side, 'PAYER')
      ) = 1 AS unnumbered,
      IF(claim_number IS NULL OR {number} IS NULL, scored_at, TIMESTAMP_SUB(scored_at, INTERVAL 3 SECOND)) AS seen_at
    FROM {source}
  ) AS seen
) AS numbered
WHERE {which}
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY end_to_end_id, COALESCE(side, 'PAYER')
  ORDER BY
    IF(unnumbered, NULL, {number}), IF(unnumbered, NULL, claim_number), IF(unnumbered, begun_at, NULL),
    published_at, delivery_attempt, seen_at, claim_number
) = 1
