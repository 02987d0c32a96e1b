-- name: has_labels
(%(labels)s::jsonb = '{}' OR (
    SELECT coalesce(jsonb_object_agg(label.key, label.value), '{}') FROM checkpointd.thread_labels AS label
    WHERE label.tenant = thread.tenant AND label.thread_id = thread.thread_id
) @> %(labels)s::jsonb)
