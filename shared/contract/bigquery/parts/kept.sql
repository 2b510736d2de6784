-- The places in a repeated column of `known` that no part of history has lost, by `gone.ends`.
ARRAY(
  SELECT place
  FROM UNNEST(known.{column}) AS place
  WHERE NOT EXISTS(
    SELECT 1 FROM UNNEST(gone.ends) AS last WHERE DIV(last, 67108864) = DIV(place, 67108864) AND place > last
  )
)
