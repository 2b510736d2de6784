-- Reports without those whose place history has lost.
SELECT said.* EXCEPT (kept_visited) REPLACE (said.kept_visited AS visited)
FROM (
  SELECT known.*, {kept_visited} AS kept_visited
  FROM ({rows}) AS known
  CROSS JOIN ({ends}) AS gone
) AS said
LEFT JOIN ({lost}) AS lost ON lost.part = DIV(said.history_sequence, 67108864)
WHERE NOT COALESCE(MOD(said.history_sequence, 67108864) > lost.kept, FALSE)
