-- Reports without those whose place history has lost.
SELECT said.*
FROM `{project}.{dataset}.feedback` AS said
LEFT JOIN ({lost}) AS lost ON lost.part = DIV(said.history_sequence, 67108864)
WHERE NOT COALESCE(MOD(said.history_sequence, 67108864) > lost.kept, FALSE)
