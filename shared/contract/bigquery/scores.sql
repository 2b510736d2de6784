-- One row for each EndToEndId and side: the first decision stands, whatever is delivered again.
SELECT
  end_to_end_id,
  COALESCE(side, 'PAYER') AS side,
  initiated_at,
  scored_at,
  published_at,
  amount,
  payer_id,
  payee_id,
  score,
  decision,
  policy_decision,
  control_probability,
  challenger_version,
  challenger_score,
  challenger_decision,
  arm,
  arm_propensity,
  hold_until,
  reasons,
  reason_contributions,
  model_version,
  late,
  degraded,
  payer_ispb,
  payee_ispb,
  history_sequence,
  decided_sequence,
  STRUCT({features}) AS features
-- One row for an id whatever its messages say, so a filter on initiated_at cannot prune partitions below this view; a
-- scan of a long table by day is cheaper on score_events itself.
FROM ({first}) AS decided
