-- When each Pix settled, NULL if it did not: as an outcome says, or by an approval that no outcome contradicts.
SELECT
  end_to_end_id,
  IF(told_at IS NULL AND refused_at IS NULL AND stops = 0, assumed_at, told_at) AS settled_at,
  told_at
FROM (
  SELECT
    end_to_end_id,
    MIN(IF(word = 'SETTLED', moment, NULL)) AS told_at,
    MIN(IF(word = 'REFUSED', moment, NULL)) AS refused_at,
    MIN(IF(word = 'APPROVED', moment, NULL)) AS assumed_at,
    COUNTIF(word = 'STOPPED') AS stops
  FROM (
    SELECT end_to_end_id, IF(status = 'SETTLED', 'SETTLED', 'REFUSED') AS word, `at` AS moment
    FROM `{project}.{dataset}.outcomes`
    WHERE status IN ('SETTLED', 'REJECTED', 'EXPIRED', 'CANCELLED') AND `at` <= {as_of}
    UNION ALL
    -- One side that stops a Pix is enough; an approval counts where it settled the Pix by assumption.
    SELECT end_to_end_id, IF(decision = 'APPROVE', 'APPROVED', 'STOPPED') AS word, initiated_at AS moment
    FROM ({counted}) AS counted
    WHERE decision != 'APPROVE' OR decided_sequence IS NOT NULL
  ) AS words
  GROUP BY end_to_end_id
) AS known
