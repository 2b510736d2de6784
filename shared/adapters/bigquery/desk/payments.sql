-- Pix of an account, once each; of two decisions about one, the stricter comes last in the alphabet.
SELECT
  end_to_end_id,
  MIN(initiated_at) AS initiated_at,
  MAX(amount) AS amount,
  MAX(decision) AS decision,
  MAX(payer_id) AS payer_id,
  MAX(payee_id) AS payee_id,
  MAX(device_id) AS device_id
FROM `{dataset}.{view}`
WHERE {party} = @account AND initiated_at >= @since AND initiated_at < @until
GROUP BY end_to_end_id
ORDER BY initiated_at DESC
LIMIT {most}
