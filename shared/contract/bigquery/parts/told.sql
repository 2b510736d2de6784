-- Outcomes that history knows, each once: the first row with all places that it has kept, else with some, else without.
-- One whose place is pending is none yet.
SELECT said.* EXCEPT (kept_visited) REPLACE (said.kept_visited AS visited)
FROM (
  SELECT known.*, {kept_visited} AS kept_visited
  FROM `{project}.{dataset}.outcomes` AS known
  CROSS JOIN ({ends}) AS gone
  WHERE ({which}) AND NOT COALESCE(known.place_pending, FALSE)
) AS said
LEFT JOIN ({lost}) AS lost ON lost.part = DIV(said.history_sequence, 67108864)
WHERE NOT COALESCE(MOD(said.history_sequence, 67108864) > lost.kept, FALSE)
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY said.end_to_end_id, said.status, said.`at`, said.return_id, said.amount
  ORDER BY
    said.history_sequence IS NULL, ARRAY_LENGTH(said.kept_visited) < ARRAY_LENGTH(said.visited), said.received_at
) = 1
