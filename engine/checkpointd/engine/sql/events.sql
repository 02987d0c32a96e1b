-- name: note_event
-- Runs under the lock that orders the thread's events, after what it tells of.
INSERT INTO checkpointd.events (tenant, thread_id, seq, body) VALUES (%(tenant)s, %(thread_id)s, 0, %(body)s)

-- name: over
-- The last turn that no transaction can have any more: every one that may has ended, and what it noted is seen.
SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint - 1 AS turn

-- name: poll_events
-- What comes after the position of each tenant; and a first row, with the turn up to which that is all.
WITH over AS MATERIALIZED ({{over}})
SELECT '' AS tenant, over.turn, 0::bigint AS number, '' AS thread_id, 0::bigint AS seq, now() AS committed_at, ''::bytea AS body
FROM over
UNION ALL
SELECT watched.tenant, event.turn, event.number, event.thread_id, event.seq, event.committed_at, event.body
FROM unnest(%(tenants)s::text[], %(turns)s::bigint[], %(numbers)s::bigint[]) AS watched (tenant, turn, number)
CROSS JOIN over
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.events
    WHERE tenant = watched.tenant AND (events.turn, events.number) > (watched.turn, watched.number)
        AND events.turn <= over.turn
    ORDER BY events.turn, events.number
    LIMIT %(size)s
) AS event

-- name: read_events
-- The next of one tenant, those of other threads without their body. A first row has the turn up to which that is all, and as seq
-- whether events that come after the position are gone.
WITH over AS MATERIALIZED ({{over}})
SELECT
    over.turn, 0::bigint AS number, '' AS thread_id,
    (SELECT count(*) FROM checkpointd.forgotten_events
        WHERE tenant = %(tenant)s AND (turn, number) > (%(turn)s, %(number)s)) AS seq,
    now() AS committed_at, ''::bytea AS body
FROM over
UNION ALL
SELECT
    event.turn, event.number, event.thread_id, event.seq, event.committed_at,
    CASE WHEN event.thread_id = %(thread_id)s
        OR (%(thread_id)s = '' AND starts_with(event.thread_id, %(prefix)s)) THEN event.body END
FROM over
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.events
    WHERE tenant = %(tenant)s AND (events.turn, events.number) > (%(turn)s, %(number)s) AND events.turn <= over.turn
    ORDER BY events.turn, events.number
    LIMIT %(size)s
) AS event

-- name: next_tenant_with_events
SELECT tenant FROM checkpointd.events WHERE tenant > %(tenant)s ORDER BY tenant LIMIT 1

-- name: forget_events
-- Removes the first of a tenant's events as far as they are old enough, and remembers the last one of them. Returns how many. What
-- another server removes just now is left to it.
WITH first AS MATERIALIZED (
    SELECT turn, number, committed_at FROM checkpointd.events
    WHERE tenant = %(tenant)s
    ORDER BY turn, number
    LIMIT %(size)s
    FOR UPDATE SKIP LOCKED
),
gone AS (
    DELETE FROM checkpointd.events AS stored
    USING first
    WHERE stored.tenant = %(tenant)s AND stored.turn = first.turn AND stored.number = first.number
        AND first.committed_at < now() - %(age)s::float8 * interval '1 second'
    RETURNING stored.turn, stored.number
),
remembered AS (
    INSERT INTO checkpointd.forgotten_events AS before (tenant, turn, number)
    SELECT %(tenant)s, turn, number FROM gone ORDER BY turn DESC, number DESC LIMIT 1
    ON CONFLICT (tenant) DO UPDATE SET turn = excluded.turn, number = excluded.number
    WHERE (excluded.turn, excluded.number) > (before.turn, before.number)
)
SELECT count(*) FROM gone

-- name: watch_key
-- What tokens are signed with. One is made where there is none, and where the database came to another PostgreSQL, whose turns are
-- counted anew.
WITH cluster AS MATERIALIZED (SELECT system_identifier AS id FROM pg_control_system()),
made AS (
    INSERT INTO checkpointd.watch_keys AS stored (id, key, cluster)
    SELECT 1, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'), cluster.id FROM cluster
    ON CONFLICT (id) DO UPDATE SET key = excluded.key, cluster = excluded.cluster
    WHERE stored.cluster <> excluded.cluster
    RETURNING key
),
emptied AS (
    DELETE FROM checkpointd.events USING made, cluster
    WHERE EXISTS (SELECT FROM checkpointd.watch_keys WHERE watch_keys.cluster <> cluster.id)
),
forgotten AS (
    DELETE FROM checkpointd.forgotten_events USING made, cluster
    WHERE EXISTS (SELECT FROM checkpointd.watch_keys WHERE watch_keys.cluster <> cluster.id)
)
SELECT key FROM made
UNION ALL
SELECT key FROM checkpointd.watch_keys WHERE NOT EXISTS (SELECT FROM made)

-- name: tell_of_events
SELECT pg_notify('checkpointd_events', %(server)s)

-- name: hear_of_events
LISTEN checkpointd_events

-- name: say_that_one_hears
-- Until the connection ends. The number is that of nothing else in the database.
SELECT pg_advisory_lock_shared(7163391904718684161)

-- name: others_hear_of_events
SELECT EXISTS (SELECT FROM pg_locks
    WHERE locktype = 'advisory' AND mode = 'ShareLock' AND objsubid = 1
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
        AND classid::bigint << 32 | objid::bigint = 7163391904718684161
)
