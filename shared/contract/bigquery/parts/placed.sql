-- Rows of score_events without the places that the store of history has lost; `lacking` where a place is to be found.
SELECT
  scored.* REPLACE (
    IF(MOD(scored.history_sequence, 67108864) > of_ask.kept, NULL, scored.history_sequence) AS history_sequence,
    IF(MOD(scored.decided_sequence, 67108864) > of_decision.kept, NULL, scored.decided_sequence) AS decided_sequence
  ),
  scored.history_sequence IS NULL OR COALESCE(
    scored.place_pending OR MOD(scored.history_sequence, 67108864) > of_ask.kept
    OR MOD(scored.decided_sequence, 67108864) > of_decision.kept,
    FALSE
  ) AS lacking
FROM ({rows}) AS scored
LEFT JOIN ({lost}) AS of_ask ON of_ask.part = DIV(scored.history_sequence, 67108864)
LEFT JOIN ({lost}) AS of_decision ON of_decision.part = DIV(scored.decided_sequence, 67108864)
