-- Outcomes, each once: the first row with a place that history has kept, else the first one without.
SELECT said.*
FROM `{project}.{dataset}.outcomes` AS said
LEFT JOIN ({lost}) AS lost ON lost.part = DIV(said.history_sequence, 67108864)
WHERE ({which}) AND NOT COALESCE(MOD(said.history_sequence, 67108864) > lost.kept, FALSE)
QUALIFY ROW_NUMBER() OVER (
  PARTITION BY said.end_to_end_id, said.status, said.`at`, said.return_id, said.amount
  ORDER BY said.history_sequence IS NULL, said.received_at
) = 1
