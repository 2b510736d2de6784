-- The verdict in force: the latest report, or LEGITIMATE for a Pix that nobody reported while reports were possible.
WITH reported AS (
  SELECT end_to_end_id, verdict, reported_at AS labelled_at, situation_type, fraud_type
  FROM `{project}.{dataset}.feedback`
  WHERE reported_at <= {as_of}
  QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id ORDER BY reported_at DESC, received_at DESC) = 1
)
SELECT end_to_end_id, verdict, labelled_at, situation_type, fraud_type FROM reported
UNION ALL
SELECT
  scored.end_to_end_id,
  'LEGITIMATE' AS verdict,
  TIMESTAMP_ADD(MIN(scored.initiated_at), INTERVAL {maturity_hours} HOUR) AS labelled_at,
  CAST(NULL AS STRING) AS situation_type,
  CAST(NULL AS STRING) AS fraud_type
FROM `{project}.{dataset}.score_events` AS scored
LEFT JOIN reported ON reported.end_to_end_id = scored.end_to_end_id
WHERE scored.initiated_at <= TIMESTAMP_SUB({as_of}, INTERVAL {maturity_hours} HOUR)
  AND reported.end_to_end_id IS NULL
GROUP BY scored.end_to_end_id
