-- Rows of score_events with their places in history and features as counted. A place that the store has lost is none.
-- `place_pending` says that a place is still to be found; `filled`, that a fill stands for what the row lacks;
-- `part_lost`, that a shard has lost its part of the ask, even if it has counted it again. At one place the row with the
-- least `turn` has the facts that history counted.
SELECT
  placed.* EXCEPT (lacking)
    REPLACE (
      COALESCE(fill.history_sequence, placed.history_sequence) AS history_sequence,
      IF(fill.end_to_end_id IS NULL, placed.decided_sequence, fill.decided_sequence) AS decided_sequence,
      placed.lacking AND COALESCE(fill.decision_lost, TRUE) AS place_pending,
      IF(fill.end_to_end_id IS NULL, placed.part_lost, COALESCE(fill.recounted, FALSE)) AS part_lost,
      IF(fill.end_to_end_id IS NULL, placed.visited, fill.visited) AS visited,
      IF(fill.end_to_end_id IS NULL, placed.decided_visited, fill.decided_visited) AS decided_visited{counted_features}
    ),
  fill.end_to_end_id IS NOT NULL AS filled,
  fill.filled_at,
  CASE WHEN fill.own_facts THEN 0 WHEN fill.end_to_end_id IS NULL THEN 1 ELSE 2 END AS turn
FROM ({placed}) AS placed
LEFT JOIN (
  SELECT
    fills.* EXCEPT (kept_visited, kept_decided)
      REPLACE (
        IF(MOD(fills.decided_sequence, 67108864) > of_decision.kept, NULL, fills.decided_sequence) AS decided_sequence,
        fills.kept_decided AS decided_visited
      ),
    COALESCE(MOD(fills.decided_sequence, 67108864) > of_decision.kept, FALSE)
      OR ARRAY_LENGTH(fills.kept_decided) < ARRAY_LENGTH(fills.decided_visited) AS decision_lost
  FROM (
    SELECT
      known.*,
      {kept_visited} AS kept_visited,
      {kept_decided} AS kept_decided
    FROM `{project}.{dataset}.fills` AS known
    CROSS JOIN ({ends}) AS gone
  ) AS fills
  LEFT JOIN ({lost}) AS of_ask ON of_ask.part = DIV(fills.history_sequence, 67108864)
  LEFT JOIN ({lost}) AS of_decision ON of_decision.part = DIV(fills.decided_sequence, 67108864)
  WHERE ({filled_where}) AND NOT COALESCE(MOD(fills.history_sequence, 67108864) > of_ask.kept, FALSE)
    AND ARRAY_LENGTH(fills.kept_visited) = ARRAY_LENGTH(fills.visited)
  QUALIFY ROW_NUMBER() OVER (PARTITION BY fills.end_to_end_id, fills.side ORDER BY fills.filled_at DESC) = 1
) AS fill
  ON placed.lacking AND fill.end_to_end_id = placed.end_to_end_id AND fill.side = COALESCE(placed.side, 'PAYER')
