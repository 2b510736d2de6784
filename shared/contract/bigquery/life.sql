-- One row for each Pix and side: when it was asked for, decided, settled or refused, returned, blocked, and judged.
WITH decided AS (
  SELECT
    end_to_end_id, COALESCE(side, 'PAYER') AS side, initiated_at, scored_at, published_at, amount,
    payer_id, payee_id, payer_ispb, payee_ispb, score, decision, hold_until, history_sequence, decided_sequence
  FROM ({first}) AS first
),
outcomes AS (
  SELECT
    end_to_end_id,
    MIN(IF(status = 'BLOCKED', `at`, NULL)) AS blocked_at,
    MIN(IF(status = 'RELEASED', `at`, NULL)) AS released_at
  FROM `{project}.{dataset}.outcomes`
  WHERE `at` <= {as_of}
  GROUP BY end_to_end_id
),
refused AS (
  SELECT end_to_end_id, status AS refusal, `at` AS refused_at
  FROM `{project}.{dataset}.outcomes`
  WHERE status IN ('REJECTED', 'EXPIRED', 'CANCELLED') AND `at` <= {as_of}
  QUALIFY ROW_NUMBER() OVER (PARTITION BY end_to_end_id ORDER BY `at`, status) = 1
),
-- A return counts once, however often it was delivered.
returned AS (
  SELECT end_to_end_id, SUM(amount) AS returned_amount, MAX(`at`) AS returned_at
  FROM (
    SELECT end_to_end_id, return_id, MIN(amount) AS amount, MIN(`at`) AS `at`
    FROM `{project}.{dataset}.outcomes`
    WHERE status = 'RETURNED' AND `at` <= {as_of}
    GROUP BY end_to_end_id, return_id
  ) AS once
  GROUP BY end_to_end_id
)
SELECT
  decided.end_to_end_id,
  decided.side,
  decided.initiated_at,
  decided.scored_at AS decided_at,
  decided.amount,
  decided.payer_id,
  decided.payee_id,
  decided.payer_ispb,
  decided.payee_ispb,
  decided.score,
  decided.decision,
  decided.hold_until,
  CASE
    WHEN settled.told_at IS NOT NULL THEN 'SETTLED'
    WHEN refused.refusal IS NOT NULL THEN refused.refusal
    WHEN settled.settled_at IS NOT NULL THEN 'ASSUMED_SETTLED'
  END AS outcome,
  COALESCE(settled.settled_at, refused.refused_at) AS outcome_at,
  settled.settled_at,
  COALESCE(returned.returned_amount, 0) AS returned_amount,
  returned.returned_at,
  outcomes.blocked_at,
  outcomes.released_at,
  labels.verdict,
  labels.labelled_at AS verdict_at,
  labels.hop
FROM decided
LEFT JOIN outcomes ON outcomes.end_to_end_id = decided.end_to_end_id
LEFT JOIN refused ON refused.end_to_end_id = decided.end_to_end_id
LEFT JOIN returned ON returned.end_to_end_id = decided.end_to_end_id
LEFT JOIN ({settled}) AS settled ON settled.end_to_end_id = decided.end_to_end_id
LEFT JOIN ({labels}) AS labels
  ON labels.end_to_end_id = decided.end_to_end_id AND labels.side = decided.side
