-- Events of cases, in their order.
SELECT *
FROM `{dataset}.reviews`
WHERE `at` >= @since {which}
ORDER BY `at`
