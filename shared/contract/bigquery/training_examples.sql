-- Features as served, or as of the place found later, beside the verdict in force: frauds once confirmed, legitimate ones once matured.
SELECT
  scored.end_to_end_id,
  COALESCE(scored.side, 'PAYER') AS side,
  scored.initiated_at,
  CAST(scored.amount AS FLOAT64) AS amount,
  scored.payer_id,
  scored.payer_ispb,
  scored.payee_ispb,
  scored.initiation_form,
  scored.score,
  scored.decision,
  scored.policy_decision,
  scored.control_probability,
  scored.model_version,
  labels.verdict,
  labels.labelled_at,
  labels.situation_type,
  labels.fraud_type,
  labels.verdict_source,
  labels.hop,
  IF(labels.verdict = 'FRAUD', scored.payee_id, NULL) AS payee_id,
  recoveries.funds_recovery_id,
  settled.settled_at IS NOT NULL AS settled,
  {feature_columns}
FROM ({first_counted}) AS scored
JOIN ({labels}) AS labels
  ON labels.end_to_end_id = scored.end_to_end_id AND labels.side = COALESCE(scored.side, 'PAYER')
LEFT JOIN ({settled}) AS settled ON settled.end_to_end_id = scored.end_to_end_id
LEFT JOIN (
  SELECT end_to_end_id, MAX(funds_recovery_id) AS funds_recovery_id
  FROM `{project}.{dataset}.feedback`
  WHERE reported_at <= {as_of} AND funds_recovery_id IS NOT NULL
  GROUP BY end_to_end_id
) AS recoveries ON recoveries.end_to_end_id = scored.end_to_end_id
-- What was decided without history teaches nothing, nor does the Pix that tries a deployment (infra/deploy/smoke.py).
-- A place that was found after a report was counted may have reads that tell the verdict.
-- A report that is cancelled or rejected does not make a young Pix legitimate: another may still come.
WHERE scored.history_sequence IS NOT NULL
  AND (NOT scored.filled OR labels.verdict_source = 'SILENCE' OR labels.labelled_at > scored.filled_at)
  AND scored.payer_ispb IS DISTINCT FROM '99999999'
  AND (
    labels.verdict = 'FRAUD'
    OR (
      labels.verdict = 'LEGITIMATE'
      AND scored.initiated_at <= TIMESTAMP_SUB({as_of}, INTERVAL {maturity_hours} HOUR)
    )
  )
