-- name: remove_all_but_kept
-- Only what is to be done; the statements below do it, each on the thread's node. Returns whether any checkpoint goes, how many
-- listed ones, and as JSON what goes, what is needed of it, what is kept, and which values stay in use.
{{removal}}
SELECT
    EXISTS (SELECT FROM going), (SELECT count(*) FROM going WHERE NOT hidden),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(checkpoint_ns, checkpoint_id, needed)), '[]') FROM going),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(checkpoint_ns, checkpoint_id, channel)), '[]')
        FROM needed WHERE checkpoint_id IS NOT NULL),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(checkpoint_ns, checkpoint_id)), '[]') FROM kept),
    (SELECT coalesce(jsonb_agg(jsonb_build_array(checkpoint_ns, channel, version)), '[]') FROM used_values)

-- name: pairs_of_going
SELECT one ->> 0, one ->> 1 FROM jsonb_array_elements(%(going)s::jsonb) AS one

-- name: pairs_of_needed
{{pairs_of_going}} WHERE (one ->> 2)::boolean

-- name: hide_needed
UPDATE checkpointd.checkpoints AS stored
SET hidden = true, run_id = NULL, metadata = '{}', native_metadata = NULL, body = '',
    channel_versions = (
        SELECT coalesce(jsonb_object_agg(entry.key, entry.value), '{}')
        FROM jsonb_each(stored.channel_versions) AS entry
        WHERE entry.key IN (SELECT one ->> 2 FROM jsonb_array_elements(%(needed)s::jsonb) AS one)
    )
WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
    AND (stored.checkpoint_ns, stored.checkpoint_id) IN ({{pairs_of_needed}})

-- name: cut_off_kept
UPDATE checkpointd.checkpoints AS stored
SET parent_id = NULL,
    history_parent_id = CASE
        WHEN (stored.checkpoint_ns, coalesce(stored.history_parent_id, stored.parent_id)) IN ({{pairs_of_needed}})
        THEN coalesce(stored.history_parent_id, stored.parent_id)
    END
WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
    AND (stored.checkpoint_ns, stored.checkpoint_id) IN (
        SELECT one ->> 0, one ->> 1 FROM jsonb_array_elements(%(kept)s::jsonb) AS one
    )
    AND (stored.checkpoint_ns, coalesce(stored.history_parent_id, stored.parent_id)) IN ({{pairs_of_going}})

-- name: remove_going
DELETE FROM checkpointd.checkpoints AS stored
WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
    AND (stored.checkpoint_ns, stored.checkpoint_id) IN ({{pairs_of_going}} WHERE NOT (one ->> 2)::boolean)

-- name: remove_writes_of_going
DELETE FROM checkpointd.writes AS stored
WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
    AND (stored.checkpoint_ns, stored.checkpoint_id) IN ({{pairs_of_going}})
    AND (stored.checkpoint_ns, stored.checkpoint_id, stored.channel) NOT IN (
        SELECT one ->> 0, one ->> 1, one ->> 2 FROM jsonb_array_elements(%(needed)s::jsonb) AS one
    )

-- name: remove_unused_values
DELETE FROM checkpointd.channel_values AS stored
WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
    AND (stored.checkpoint_ns, stored.channel, stored.version) NOT IN (
        SELECT one ->> 0, one ->> 1, one ->> 2 FROM jsonb_array_elements(%(used)s::jsonb) AS one
    )

-- name: begin_epoch
UPDATE checkpointd.threads SET epoch = %(epoch)s WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s

-- name: draw_epoch
SELECT nextval('checkpointd.epochs')
