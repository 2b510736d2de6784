-- One row for each message that could not be used, however often it was delivered and set aside.
SELECT quarantined_at, topic, reason, field, payload_hash, payload_bytes, message_id
FROM `{project}.{dataset}.quarantine`
WHERE TRUE
QUALIFY ROW_NUMBER() OVER (PARTITION BY topic, message_id, payload_hash ORDER BY quarantined_at) = 1
