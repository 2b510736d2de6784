-- Held and blocked Pix that an outcome has ended, or a verdict of an analyst that came in time.
-- A blocked Pix has settled before; only a release or a return ends its block.
SELECT decided.end_to_end_id, decided.side
FROM ({first}) AS decided
LEFT JOIN (
  SELECT
    end_to_end_id,
    LOGICAL_OR(status = 'SETTLED') AS is_settled,
    LOGICAL_OR(status IN ('REJECTED', 'EXPIRED', 'CANCELLED', 'RELEASED', 'RETURNED')) AS is_over
  FROM `{dataset}.outcomes`
  WHERE `at` >= @since
  GROUP BY end_to_end_id
) AS told ON told.end_to_end_id = decided.end_to_end_id
LEFT JOIN (
  SELECT end_to_end_id, MIN(reported_at) AS judged_at
  FROM `{dataset}.feedback`
  WHERE reported_at >= @since AND source = 'ANALYST'{judged}
  GROUP BY end_to_end_id
) AS judged ON judged.end_to_end_id = decided.end_to_end_id
WHERE COALESCE(judged.judged_at <= decided.hold_until, FALSE)
  OR COALESCE(told.is_over, FALSE)
  OR (COALESCE(told.is_settled, FALSE) AND decided.decision = 'HOLD')
