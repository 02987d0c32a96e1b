-- name: session
-- What every session needs, whatever the database or the role has by default: text as it is packed, commits that see each
-- other, durability of what is acknowledged.
SET client_encoding = 'UTF8';
SET default_transaction_isolation = 'read committed';
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'

-- name: serving_session
-- Statements are planned once, and none gains from a plan for its particular parameters, from a sequential scan (a plan
-- made while the tables were small would keep it), or from JIT. Nor from a sort where an index has the order: a session
-- that knew the primary key's index when it was small takes it for cheaper still than checkpoints_by_seq, and would read
-- and sort a whole namespace to find its head. A server that freezes or is cut off in the middle of a change must not
-- hold a thread for long, nor may who waits for it.
{{session}};
{{plan_cache}};
SET enable_seqscan = off;
SET enable_sort = off;
SET jit = off;
SET idle_in_transaction_session_timeout = '10s';
SET lock_timeout = '10s'

-- name: plan_cache
SET plan_cache_mode = force_generic_plan

-- name: forbidden_tables
-- The tables and sequences that the role may not use in full.
SELECT table_name
FROM unnest(ARRAY[
    'threads', 'checkpoints', 'channel_values', 'writes', 'graphs', 'graph_versions', 'leases', 'requests', 'api_keys',
    'thread_labels', 'quotas', 'thread_bytes', 'retention_policies', 'chores', 'events', 'forgotten_events', 'watch_keys'
]) AS table_name
CROSS JOIN unnest(ARRAY['SELECT', 'INSERT', 'UPDATE', 'DELETE']) AS privilege
WHERE NOT has_table_privilege('checkpointd.' || table_name, privilege)
GROUP BY table_name
UNION
SELECT sequence FROM unnest(ARRAY['fencing_tokens', 'epochs', 'event_numbers']) AS sequence
WHERE NOT has_sequence_privilege('checkpointd.' || sequence, 'USAGE')
ORDER BY table_name

-- name: readiness
-- Whether the database takes no writes, and which version its schema has.
SELECT
    pg_is_in_recovery() OR current_setting('transaction_read_only')::bool,
    (SELECT coalesce(max(version), 0) FROM checkpointd.migrations)
