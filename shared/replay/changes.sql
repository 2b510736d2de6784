-- Changes of history by decisions and outcomes, with the columns of each ask, in the order of a shard of history. The
-- changes of a Pix are ordered by their places on its home, and each stands at its place on the shard.
WITH asks AS (
  SELECT {columns}
  FROM {score_events} AS counted
  WHERE history_sequence IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id ORDER BY turn, scored_at, history_sequence) = 1
),
-- A redelivered row says the same again, and the row by which the decision was counted knows best which it was.
words AS (
  SELECT
    end_to_end_id AS id, decided_sequence AS own, '{decided}' AS status, COALESCE(side, 'PAYER') AS decided_side,
    decision = 'APPROVE' AS approved, scored_at AS `at`, CAST(NULL AS STRING) AS return_id,
    CAST(NULL AS NUMERIC) AS returned, COALESCE(filled_at, scored_at) AS received_at, decided_place AS part
  FROM {score_events} AS counted
  WHERE decided_sequence IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY end_to_end_id, decided_sequence, COALESCE(side, 'PAYER') ORDER BY filled, scored_at
  ) = 1
  UNION ALL
  SELECT
    end_to_end_id, history_sequence, status, CAST(NULL AS STRING), CAST(NULL AS BOOL), `at`, return_id, amount,
    received_at, place
  FROM {outcomes} AS told
  -- Said again with another time, an outcome has the place of the change that it once made, and changes nothing.
  WHERE TRUE
  QUALIFY history_sequence IS NULL
    OR ROW_NUMBER() OVER (PARTITION BY end_to_end_id, history_sequence ORDER BY received_at, `at`) = 1
),
-- A change is counted in the order of places, and after all that were received before an earlier one.
seen AS (
  SELECT
    *,
    MIN(own) OVER (PARTITION BY id) AS first_own,
    IF(own IS NULL, received_at, MAX(IF(own IS NULL, NULL, received_at)) OVER (
      PARTITION BY id ORDER BY COALESCE(own, 0) ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW
    )) AS seen_at
  FROM words
),
-- A return changes nothing only before the settlement of its Pix, though batches that overlap may have received it
-- after. Where a settlement was taken back, it may have come between, as its time says.
settled AS (
  SELECT
    *,
    MIN(IF(own IS NOT NULL AND (status = 'SETTLED' OR approved), seen_at, NULL)) OVER (PARTITION BY id) AS sold_at,
    LOGICAL_OR(own IS NOT NULL AND COALESCE(approved, FALSE)) OVER (PARTITION BY id)
      AND LOGICAL_OR(own IS NOT NULL AND (status IN ('REJECTED', 'EXPIRED', 'CANCELLED') OR NOT COALESCE(approved, TRUE)))
        OVER (PARTITION BY id) AS is_taken_back
  FROM seen
),
timed AS (
  SELECT
    * REPLACE (
      IF(
        own IS NULL AND status = 'RETURNED' AND sold_at <= seen_at AND NOT is_taken_back,
        TIMESTAMP_SUB(sold_at, INTERVAL 1 MICROSECOND),
        seen_at
      ) AS seen_at
    )
  FROM settled
),
-- A settlement or a refusal changes nothing only after another change of its Pix, though it may be received before.
ranked AS (
  SELECT
    *,
    CASE
      WHEN own IS NOT NULL THEN own > first_own
      WHEN status IN ('SETTLED', 'REJECTED', 'EXPIRED', 'CANCELLED') THEN TRUE
      ELSE seen_at > MAX(IF(own = first_own, seen_at, NULL)) OVER (PARTITION BY id)
    END AS after_first
  FROM timed
),
-- An outcome that changed nothing when it came stands before the next change of its Pix, on which it may weigh.
placed AS (
  SELECT
    *,
    COALESCE(own, MIN(own) OVER (
      PARTITION BY id ORDER BY after_first, seen_at, own ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    )) AS place
  FROM ranked
),
-- One that has no place on the shard stands before the next change of its Pix there.
parts AS (
  SELECT
    * EXCEPT (place),
    COALESCE(part, MIN(part) OVER (
      PARTITION BY id ORDER BY place, own IS NOT NULL, received_at, `at`
      ROWS BETWEEN CURRENT ROW AND UNBOUNDED FOLLOWING
    )) AS place,
    place AS turn
  FROM placed
  WHERE place IS NOT NULL
)
SELECT
  place, turn, part IS NOT NULL AS counted, status, decided_side, approved, `at`, return_id, returned,
  LEAD(place) OVER (PARTITION BY id ORDER BY turn, own IS NOT NULL, received_at, `at`) IS NOT NULL AS more,
  own IS NOT NULL AS told, received_at, {asks}
FROM parts
JOIN asks ON asks.end_to_end_id = parts.id
WHERE place IS NOT NULL
ORDER BY place, turn, told, received_at, `at`
