-- name: lock_idle_thread
-- One that is being written is left for the next time.
SELECT thread.thread_id FROM checkpointd.threads AS thread
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s
    AND thread.updated_at < now() - %(delete_idle_after)s::float8 * interval '1 second'
    AND NOT EXISTS (
        SELECT FROM checkpointd.leases
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND expires_at > clock_timestamp()
    )
    AND (%(labels)s::jsonb = '{}' OR (
        SELECT coalesce(jsonb_object_agg(label.key, label.value), '{}') FROM checkpointd.thread_labels AS label
        WHERE label.tenant = %(tenant)s AND label.thread_id = %(thread_id)s
    ) @> %(labels)s::jsonb)
FOR UPDATE OF thread SKIP LOCKED
