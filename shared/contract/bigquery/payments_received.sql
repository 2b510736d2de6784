-- Pix by the account that receives, as decided; BigQuery keeps it up to date and clustered by that account.
SELECT payee_id, end_to_end_id, initiated_at, amount, decision, payer_id, device_id
FROM `{project}.{dataset}.score_events`
