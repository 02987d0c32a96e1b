-- name: verify_page
-- The next threads after one, in the order of their keys, and those of rows which belong to no thread. From all nodes.
SELECT tenant, thread_id FROM (
    SELECT tenant, thread_id FROM checkpointd.threads
    UNION SELECT tenant, thread_id FROM checkpointd.checkpoints
    UNION SELECT tenant, thread_id FROM checkpointd.channel_values
    UNION SELECT tenant, thread_id FROM checkpointd.writes
) AS candidate
WHERE (tenant, thread_id) > (%(tenant_after)s, %(thread_after)s) AND (%(tenant)s = '' OR tenant = %(tenant)s)
ORDER BY tenant, thread_id
LIMIT %(size)s
