-- Rows of score_events without the places that the store of history has lost; `lacking` where a place is to be found,
-- and `part_lost` where a shard has lost its part of the ask.
SELECT
  scored.* EXCEPT (kept_visited, kept_decided)
    REPLACE (
      IF(MOD(scored.history_sequence, 67108864) > of_ask.kept, NULL, scored.history_sequence) AS history_sequence,
      IF(MOD(scored.decided_sequence, 67108864) > of_decision.kept, NULL, scored.decided_sequence) AS decided_sequence,
      scored.kept_visited AS visited,
      scored.kept_decided AS decided_visited
    ),
  scored.history_sequence IS NULL OR COALESCE(
    scored.place_pending OR MOD(scored.history_sequence, 67108864) > of_ask.kept
    OR MOD(scored.decided_sequence, 67108864) > of_decision.kept,
    FALSE
  ) OR ARRAY_LENGTH(scored.kept_visited) + ARRAY_LENGTH(scored.kept_decided)
    < ARRAY_LENGTH(scored.visited) + ARRAY_LENGTH(scored.decided_visited) AS lacking,
  ARRAY_LENGTH(scored.kept_visited) < ARRAY_LENGTH(scored.visited) AS part_lost
FROM (
  SELECT
    known.*,
    {kept_visited} AS kept_visited,
    {kept_decided} AS kept_decided
  FROM ({rows}) AS known
  CROSS JOIN ({ends}) AS gone
) AS scored
LEFT JOIN ({lost}) AS of_ask ON of_ask.part = DIV(scored.history_sequence, 67108864)
LEFT JOIN ({lost}) AS of_decision ON of_decision.part = DIV(scored.decided_sequence, 67108864)
