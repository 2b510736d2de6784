-- Features as served of matured decisions without a label, as what was stopped was not paid: frauds among them show nowhere.
SELECT
  scored.end_to_end_id,
  COALESCE(scored.side, 'PAYER') AS side,
  scored.initiated_at,
  CAST(scored.amount AS FLOAT64) AS amount,
  scored.score,
  scored.decision,
  scored.policy_decision,
  scored.control_probability,
  {feature_columns}
FROM ({first_counted}) AS scored
JOIN ({labels}) AS labels
  ON labels.end_to_end_id = scored.end_to_end_id AND labels.side = COALESCE(scored.side, 'PAYER')
WHERE labels.verdict = 'UNKNOWN'
  AND scored.history_sequence IS NOT NULL
  AND scored.payer_ispb IS DISTINCT FROM '99999999'
