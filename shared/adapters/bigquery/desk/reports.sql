-- The latest state of each report about a Pix of either account, and of each fraud marker of either holder.
WITH concerned AS (
  SELECT
    end_to_end_id,
    LOGICAL_OR(payer_id = @payer OR payee_id = @payer) AS of_payer,
    LOGICAL_OR(payer_id = @payee OR payee_id = @payee) AS of_payee
  FROM (
    {shared}
  ) AS shared
  GROUP BY end_to_end_id
)
SELECT
  report.source,
  report.reported_at,
  report.end_to_end_id,
  report.status,
  report.verdict,
  report.situation_type,
  report.fraud_type,
  COALESCE(concerned.of_payer, report.person_id = @payer_person) AS of_payer,
  COALESCE(concerned.of_payee, report.person_id = @payee_person) AS of_payee
FROM `{dataset}.feedback` AS report
LEFT JOIN concerned ON concerned.end_to_end_id = report.end_to_end_id
WHERE report.reported_at >= @since
  AND (concerned.end_to_end_id IS NOT NULL OR report.person_id IN (@payer_person, @payee_person))
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY report.source, report.report_id ORDER BY report.reported_at DESC, report.received_at DESC
) = 1
ORDER BY reported_at DESC
LIMIT {most}
