-- The number of the last change of each part of history, an epoch of a shard, of which the store lost changes. A place
-- is its part in the high bits, and a number in the lower 26.
SELECT epoch * 64 + COALESCE(shard, 0) AS part, MIN(kept) AS kept FROM `{project}.{dataset}.lost_places` GROUP BY part
