SELECT end_to_end_id, payer_id, payee_id
    FROM `{dataset}.payments_sent`
    WHERE payer_id IN (@payer, @payee) AND initiated_at >= @since
    UNION ALL
    SELECT end_to_end_id, payer_id, payee_id
    FROM `{dataset}.payments_received`
    WHERE payee_id IN (@payer, @payee) AND initiated_at >= @since
