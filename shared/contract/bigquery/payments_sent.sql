-- Pix by the account that pays, as decided; BigQuery keeps it up to date and clustered by that account.
SELECT payer_id, end_to_end_id, initiated_at, amount, decision, payee_id, device_id
FROM `{project}.{dataset}.score_events`
