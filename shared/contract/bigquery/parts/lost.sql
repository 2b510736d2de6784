-- The number of the last change of each epoch of which the store of history lost changes.
SELECT epoch, MIN(kept) AS kept FROM `{project}.{dataset}.lost_places` GROUP BY epoch
