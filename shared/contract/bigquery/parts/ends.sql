-- One row: the last place of each part of history of which the store lost changes.
SELECT ARRAY_AGG(part * 67108864 + kept) AS ends FROM ({lost}) AS lost
