-- Held and blocked decisions; BigQuery keeps them up to date and clustered by their Pix.
SELECT
  end_to_end_id, side, initiated_at, scored_at, amount, payer_id, payee_id, decision, score, policy_decision, hold_until,
  reasons, model_version, degraded, history_sequence, claim_number, published_at, delivery_attempt
FROM `{project}.{dataset}.score_events`
WHERE hold_until IS NOT NULL
