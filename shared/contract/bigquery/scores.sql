-- One row for each EndToEndId: the first decision stands, whatever is delivered again.
SELECT
  end_to_end_id,
  initiated_at,
  scored_at,
  published_at,
  amount,
  payer_id,
  payee_id,
  score,
  decision,
  reasons,
  model_version,
  late,
  degraded,
  payer_ispb,
  payee_ispb,
  history_sequence,
  STRUCT({features}) AS features
FROM `{project}.{dataset}.score_events`
WHERE TRUE
-- initiated_at is constant for an id; naming it lets BigQuery prune partitions below this view.
QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id, initiated_at ORDER BY scored_at, history_sequence) = 1
