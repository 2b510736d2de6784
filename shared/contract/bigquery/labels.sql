-- The verdict in force about each Pix and side: LEGITIMATE where nobody reported it while reports were possible, UNKNOWN where it was not paid and nobody reviewed it.
-- The same precedence as in shared/features/verdicts.py, which counts it in history.
WITH stated AS (
  SELECT
    end_to_end_id, source, report_id, infraction_report_id, reported_at, situation_type, fraud_type,
    COALESCE(hop, 1) AS hop,
    COALESCE(state_hash, 0) AS state_hash,
    CASE
      WHEN source = 'MED' AND status = 'OPEN' THEN 1
      WHEN source = 'MED' AND status = 'ACKNOWLEDGED' THEN 2
      WHEN source = 'MED' AND status = 'CLOSED' AND analysis_result = 'DISAGREED' THEN 3
      WHEN source = 'MED' AND status = 'CLOSED' AND analysis_result = 'AGREED' THEN 4
      WHEN source = 'MED' AND status = 'CANCELLED' THEN 5
      WHEN source = 'ANALYST' AND verdict = 'LEGITIMATE' THEN 6
      WHEN source = 'ANALYST' AND verdict = 'FRAUD' THEN 7
      WHEN source = 'CUSTOMER' AND status = 'CONTESTED' THEN 8
      WHEN source = 'CUSTOMER' AND status = 'WITHDRAWN' THEN 9
      WHEN source = 'FRAUD_MARKER' AND status = 'REGISTERED' THEN 10
      WHEN source = 'FRAUD_MARKER' AND status = 'CANCELLED' THEN 11
    END AS standing
  FROM `{project}.{dataset}.feedback`
  WHERE reported_at BETWEEN {since} AND {as_of} AND source IN ('MED', 'ANALYST', 'CUSTOMER', 'FRAUD_MARKER')
),
-- The state of each report: the latest, by the report itself and never by the time of its arrival.
latest AS (
  SELECT *
  FROM stated
  WHERE standing IS NOT NULL
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY end_to_end_id, source, report_id, infraction_report_id
    ORDER BY reported_at DESC, standing DESC, state_hash DESC
  ) = 1
),
-- A fraud marker that is cancelled takes back the verdict of the report from which it followed.
revoked AS (
  SELECT infraction_report_id AS report_id, MAX(reported_at) AS revoked_at
  FROM latest
  WHERE standing = 11 AND infraction_report_id IS NOT NULL
  GROUP BY infraction_report_id
),
words AS (
  SELECT
    latest.end_to_end_id, latest.report_id, latest.situation_type, latest.fraud_type, latest.hop, latest.state_hash,
    IF(latest.standing = 4 AND revoked.report_id IS NOT NULL, 5, latest.standing) AS standing,
    IF(
      latest.standing = 4 AND revoked.report_id IS NOT NULL,
      GREATEST(latest.reported_at, revoked.revoked_at),
      latest.reported_at
    ) AS reported_at
  FROM latest
  LEFT JOIN revoked ON revoked.report_id = latest.report_id AND latest.source = 'MED'
  WHERE latest.standing <= 9
),
ranked AS (
  SELECT
    *,
    CASE
      WHEN standing = 4 THEN 1
      WHEN standing IN (6, 7) THEN 2
      WHEN standing = 8 THEN 3
      WHEN standing IN (1, 2) THEN 4
      ELSE 5
    END AS precedence,
    MIN(IF(standing <= 5, hop, NULL)) OVER (PARTITION BY end_to_end_id) AS least_hop
  FROM words
),
-- The latest word is in force among those of analysts and among the weakest ones, the first one among the others.
reported AS (
  SELECT
    end_to_end_id,
    CASE WHEN standing IN (4, 7) THEN 'FRAUD' WHEN standing IN (1, 2, 8) THEN 'PENDING' ELSE 'LEGITIMATE' END AS verdict,
    reported_at AS labelled_at,
    situation_type,
    fraud_type,
    CASE
      WHEN standing = 4 THEN 'AGREED'
      WHEN standing IN (6, 7) THEN 'ANALYST'
      WHEN standing = 8 THEN 'CONTESTED'
      WHEN standing IN (1, 2) THEN 'OPEN'
      WHEN standing = 3 THEN 'DISAGREED'
      WHEN standing = 5 THEN 'CANCELLED'
      ELSE 'WITHDRAWN'
    END AS verdict_source,
    IF(standing = 4, hop, least_hop) AS hop
  FROM ranked
  WHERE TRUE
  QUALIFY ROW_NUMBER() OVER (
    PARTITION BY end_to_end_id
    ORDER BY
      precedence,
      IF(standing = 4, hop, 0),
      IF(precedence IN (2, 5), -1, 1) * UNIX_MICROS(reported_at),
      standing DESC,
      state_hash DESC,
      report_id
  ) = 1
),
told AS (
  SELECT
    end_to_end_id,
    LOGICAL_OR(status IN ('SETTLED', 'RELEASED')) AS is_settled,
    LOGICAL_OR(status IN ('REJECTED', 'EXPIRED', 'CANCELLED')) AS is_refused,
    MAX(IF(status = 'BLOCKED', `at`, NULL)) AS blocked_at,
    MAX(IF(status = 'RELEASED', `at`, NULL)) AS released_at
  FROM `{project}.{dataset}.outcomes`
  WHERE `at` BETWEEN {since} AND {as_of}
  GROUP BY end_to_end_id
),
decided AS (
  SELECT
    end_to_end_id, COALESCE(side, 'PAYER') AS side, initiated_at,
    MIN(IF(decision = 'APPROVE', 1, 0)) OVER (PARTITION BY end_to_end_id) = 1 AS is_approved,
    MAX(IF(decision = 'BLOCK', 1, 0)) OVER (PARTITION BY end_to_end_id) = 1 AS is_blocked
  FROM ({first}) AS first
),
-- Paid is a Pix whose money the payee has: of any other, nobody reports a fraud that was stopped, so silence says
-- nothing. Without an outcome an approval settles a Pix; one side that stops it is enough to stop it. Money that was
-- blocked after credit is paid only once it was released.
scored AS (
  SELECT
    decided.end_to_end_id, decided.side, decided.initiated_at,
    (COALESCE(told.is_settled, FALSE) OR (decided.is_approved AND NOT COALESCE(told.is_refused, FALSE)))
      AND COALESCE(
        told.released_at >= COALESCE(told.blocked_at, told.released_at),
        told.blocked_at IS NULL AND NOT decided.is_blocked
      ) AS is_paid
  FROM decided
  LEFT JOIN told ON told.end_to_end_id = decided.end_to_end_id
)
SELECT
  reported.end_to_end_id,
  COALESCE(scored.side, 'PAYER') AS side,
  -- Nor does a report that ended say that a Pix was legitimate which was never paid: there was no loss to dispute.
  IF(
    reported.verdict_source IN ('DISAGREED', 'CANCELLED', 'WITHDRAWN')
      AND NOT COALESCE(scored.is_paid, TRUE),
    'UNKNOWN',
    reported.verdict
  ) AS verdict,
  reported.labelled_at,
  reported.situation_type,
  reported.fraud_type,
  reported.verdict_source,
  reported.hop
FROM reported
LEFT JOIN scored ON scored.end_to_end_id = reported.end_to_end_id
UNION ALL
SELECT
  scored.end_to_end_id,
  scored.side,
  IF(scored.is_paid, 'LEGITIMATE', 'UNKNOWN') AS verdict,
  TIMESTAMP_ADD(scored.initiated_at, INTERVAL {maturity_hours} HOUR) AS labelled_at,
  CAST(NULL AS STRING) AS situation_type,
  CAST(NULL AS STRING) AS fraud_type,
  IF(scored.is_paid, 'SILENCE', 'UNPAID') AS verdict_source,
  CAST(NULL AS INT64) AS hop
FROM scored
LEFT JOIN reported ON reported.end_to_end_id = scored.end_to_end_id
WHERE scored.initiated_at <= TIMESTAMP_SUB({as_of}, INTERVAL {maturity_hours} HOUR)
  AND reported.end_to_end_id IS NULL
