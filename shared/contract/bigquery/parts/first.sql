-- The first row of each Pix and side. The store of history numbers the claims of a Pix, so its order is that of the
-- decisions; where it did not answer, the times and attempts of Pub/Sub decide, never the clock of an instance.
SELECT * EXCEPT (unnumbered)
FROM (
  SELECT
    *,
    MAX(IF(claim_number IS NULL OR history_sequence IS NULL, 1, 0)) OVER (
      PARTITION BY end_to_end_id, COALESCE(side, 'PAYER')
    ) = 1 AS unnumbered
  FROM `{project}.{dataset}.score_events`
  WHERE initiated_at <= {as_of}
) AS numbered
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY end_to_end_id, COALESCE(side, 'PAYER')
  ORDER BY
    IF(unnumbered, NULL, history_sequence), IF(unnumbered, NULL, claim_number),
    published_at, delivery_attempt, claim_number, scored_at
) = 1
