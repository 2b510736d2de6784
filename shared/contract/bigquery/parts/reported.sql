-- Reports without those whose place history has lost.
SELECT said.*
FROM `{project}.{dataset}.feedback` AS said
LEFT JOIN ({lost}) AS lost ON lost.epoch = DIV(said.history_sequence, 4294967296)
WHERE NOT COALESCE(MOD(said.history_sequence, 4294967296) > lost.kept, FALSE)
