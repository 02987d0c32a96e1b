-- name: set_retention_policy
INSERT INTO checkpointd.retention_policies (tenant, name, policy)
VALUES (%(tenant)s, %(name)s, %(policy)s)
ON CONFLICT (tenant, name) DO UPDATE SET policy = excluded.policy

-- name: delete_retention_policy
DELETE FROM checkpointd.retention_policies WHERE tenant = %(tenant)s AND name = %(name)s

-- name: retention_policies
-- A tenant's, or with the tenant '*' all.
SELECT tenant, policy FROM checkpointd.retention_policies
WHERE tenant = %(tenant)s OR %(tenant)s = '*'
ORDER BY tenant, name

-- name: claim_chore
-- Takes a piece of work that nobody does, or says that it goes on. No row: somebody else does it.
INSERT INTO checkpointd.chores AS chore (name, holder, held_until)
VALUES (%(name)s, %(holder)s, now() + interval '1 minute')
ON CONFLICT (name) DO UPDATE SET holder = excluded.holder, held_until = excluded.held_until
WHERE chore.holder = excluded.holder OR chore.held_until < now()
RETURNING name

-- name: leave_chore
DELETE FROM checkpointd.chores WHERE name = %(name)s AND holder = %(holder)s

-- name: count_threads_of_tenant
SELECT count(*) FROM checkpointd.threads WHERE tenant = %(tenant)s

-- name: deletes_every_thread
-- How many threads a tenant has when a policy would delete them all, else no row. Ends at the first that stays.
WITH stays AS MATERIALIZED (
    SELECT thread.thread_id FROM checkpointd.threads AS thread
    WHERE thread.tenant = %(tenant)s AND NOT ({{is_idle}} AND {{has_labels}})
    LIMIT 1
),
counted AS MATERIALIZED (
    SELECT count(*) AS threads FROM checkpointd.threads AS thread
    WHERE thread.tenant = %(tenant)s AND NOT EXISTS (SELECT FROM stays)
)
SELECT threads FROM counted WHERE threads > 0

-- name: has_labels
NOT EXISTS (
    SELECT FROM jsonb_each_text(%(labels)s) AS wanted
    WHERE NOT EXISTS (
        SELECT FROM checkpointd.thread_labels
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id
            AND key = wanted.key COLLATE "C" AND value = wanted.value COLLATE "C"
    )
)

-- name: is_idle
(
    thread.updated_at < now() - %(delete_idle_after)s::float8 * interval '1 second'
    AND NOT EXISTS (
        SELECT FROM checkpointd.leases
        WHERE tenant = thread.tenant AND thread_id = thread.thread_id AND expires_at > clock_timestamp()
    )
) IS TRUE

-- name: may_be_pruned
-- Whether a thread may have checkpoints that a policy removes, told without reading them: more than are kept in a namespace, or the
-- first of one with several is too old.
EXISTS (
    SELECT FROM checkpointd.checkpoints
    WHERE tenant = thread.tenant AND thread_id = thread.thread_id AND NOT hidden
    GROUP BY checkpoint_ns
    HAVING count(*) > %(keep_last)s::bigint
        OR (count(*) > 1 AND min(committed_at) < now() - %(max_age)s::float8 * interval '1 second')
)

-- name: retention_candidates
-- The next threads of a tenant that a policy is about, and what it may do with each.
SELECT thread.thread_id, {{is_idle}}, {{has_labels}} AND {{may_be_pruned}}
FROM checkpointd.threads AS thread
WHERE thread.tenant = %(tenant)s AND thread.thread_id > %(after)s AND thread.seq > 0
ORDER BY thread.thread_id
LIMIT %(size)s

-- name: lock_idle_thread
-- One that is being written is left for the next time.
SELECT FROM checkpointd.threads AS thread
WHERE thread.tenant = %(tenant)s AND thread.thread_id = %(thread_id)s AND {{is_idle}} AND {{has_labels}}
FOR UPDATE SKIP LOCKED

-- name: lock_unwritten_thread
SELECT FROM checkpointd.threads
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
FOR UPDATE SKIP LOCKED

-- name: wanted_by_policy
-- What a policy keeps of each namespace: its head, what is to be kept by its metadata, and what is neither too old nor too much.
SELECT checkpoint_ns, checkpoint_id, metadata
FROM (
    SELECT *, row_number() OVER (PARTITION BY checkpoint_ns ORDER BY seq DESC) AS place FROM own WHERE NOT hidden
) AS placed
WHERE place = 1
    OR (%(keep_metadata)s::jsonb <> '{}' AND metadata::jsonb @> %(keep_metadata)s::jsonb)
    OR (
        (%(keep_last)s::bigint IS NULL OR place <= %(keep_last)s::bigint)
        AND (
            %(max_age)s::float8 IS NULL
            OR committed_at >= now() - %(max_age)s::float8 * interval '1 second'
        )
    )

-- name: keep_by_policy
-- Of subgraphs' calls (see keep_latest), what belongs to root checkpoints that go is not kept.
SELECT checkpoint_ns, checkpoint_id FROM wanted
WHERE position(':' IN checkpoint_ns) = 0 OR (
    metadata::jsonb -> 'parents' ->> '' IN (
        SELECT checkpoint_id FROM own
        WHERE checkpoint_ns = '' AND NOT hidden
            AND checkpoint_id NOT IN (SELECT checkpoint_id FROM wanted WHERE checkpoint_ns = '')
    )
) IS NOT TRUE

-- name: prune_thread_by_policy
WITH RECURSIVE own AS MATERIALIZED ({{own}}),
wanted AS MATERIALIZED ({{wanted_by_policy}}),
kept AS MATERIALIZED ({{keep_by_policy}}) {{remove_all_but_kept}}

-- name: would_be_pruned
-- How many checkpoints of a thread a policy would remove, and the most bytes that would go with them.
WITH own AS MATERIALIZED ({{own}}),
wanted AS MATERIALIZED ({{wanted_by_policy}}),
kept AS MATERIALIZED ({{keep_by_policy}}),
going AS MATERIALIZED (
    SELECT checkpoint_ns, checkpoint_id FROM own
    WHERE NOT hidden AND (checkpoint_ns, checkpoint_id) NOT IN (SELECT checkpoint_ns, checkpoint_id FROM kept)
),
used AS MATERIALIZED (
    SELECT own.checkpoint_ns, entry.key COLLATE "C" AS channel, entry.value COLLATE "C" AS version
    FROM own CROSS JOIN LATERAL jsonb_each_text(own.channel_versions) AS entry
    WHERE ((own.checkpoint_ns, own.checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM kept)) IS TRUE
)
SELECT
    (SELECT count(*) FROM going),
    CASE WHEN EXISTS (SELECT FROM going) THEN (
        SELECT coalesce(sum(pg_column_size(stored.*)), 0) FROM checkpointd.checkpoints AS stored
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
            AND (checkpoint_ns, checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM going)
    ) + (
        SELECT coalesce(sum(pg_column_size(stored.*)), 0) FROM checkpointd.writes AS stored
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
            AND (checkpoint_ns, checkpoint_id) IN (SELECT checkpoint_ns, checkpoint_id FROM going)
    ) + (
        SELECT coalesce(sum(pg_column_size(stored.*)), 0) FROM checkpointd.channel_values AS stored
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
            AND (checkpoint_ns, channel, version) NOT IN (SELECT checkpoint_ns, channel, version FROM used)
    ) ELSE 0 END::bigint
