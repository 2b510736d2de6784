-- What was told about a Pix after its decision, once each, in order of time.
SELECT DISTINCT status, `at`
FROM `{dataset}.outcomes`
WHERE `at` >= @since AND end_to_end_id = @id
ORDER BY `at`, status
