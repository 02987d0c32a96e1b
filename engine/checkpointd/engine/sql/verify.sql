-- name: verify_session
-- A session that reads for a long time, and changes nothing. Every look-up by an index, whatever the statistics say.
{{session}};
SET default_transaction_read_only = on;
SET statement_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET enable_seqscan = off;
SET jit = off

-- name: verify_schema
-- The schema's version; NULL where there is none. The table is asked for by a statement of its own.
SELECT to_regclass('checkpointd.migrations') IS NOT NULL

-- name: verify_schema_version
SELECT coalesce(max(version), 0) FROM checkpointd.migrations

-- name: verify_total
-- How many threads there are, roughly: counted when that is quick or when nobody has looked yet.
SELECT CASE WHEN reltuples > 100000 THEN reltuples::bigint ELSE (
    SELECT count(*) FROM (SELECT 1 FROM checkpointd.threads LIMIT 1000000) AS counted
) END
FROM pg_class WHERE oid = 'checkpointd.threads'::regclass

-- name: verify_page
-- The next threads after one, in the order of their keys. From all tables, so that rows which belong to no thread are
-- found too.
WITH RECURSIVE page AS (
    SELECT %(tenant_after)s::text COLLATE "C" AS tenant, %(thread_after)s::text COLLATE "C" AS thread_id, 0 AS number
    UNION ALL
    SELECT next.tenant, next.thread_id, page.number + 1
    FROM page CROSS JOIN LATERAL (
        SELECT candidate.tenant, candidate.thread_id FROM (
            (
                SELECT tenant, thread_id FROM checkpointd.threads
                WHERE (tenant, thread_id) > (page.tenant, page.thread_id) ORDER BY tenant, thread_id LIMIT 1
            )
            UNION ALL
            (
                SELECT tenant, thread_id FROM checkpointd.checkpoints
                WHERE (tenant, thread_id) > (page.tenant, page.thread_id) ORDER BY tenant, thread_id LIMIT 1
            )
            UNION ALL
            (
                SELECT tenant, thread_id FROM checkpointd.channel_values
                WHERE (tenant, thread_id) > (page.tenant, page.thread_id) ORDER BY tenant, thread_id LIMIT 1
            )
            UNION ALL
            (
                SELECT tenant, thread_id FROM checkpointd.writes
                WHERE (tenant, thread_id) > (page.tenant, page.thread_id) ORDER BY tenant, thread_id LIMIT 1
            )
        ) AS candidate
        ORDER BY candidate.tenant, candidate.thread_id
        LIMIT 1
    ) AS next
    WHERE page.number < %(size)s AND (%(tenant)s = '' OR next.tenant = %(tenant)s)
)
SELECT tenant, thread_id FROM page WHERE number > 0 ORDER BY number

-- name: verify_thread
-- What there is of a thread: whether it is there, and for each kind of rows how many, and the bytes of the largest.
SELECT
    EXISTS (SELECT FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s),
    (SELECT count(*) FROM checkpointd.channel_values WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s),
    checkpoints.count, checkpoints.largest, writes.count, writes.largest
FROM (
    SELECT
        count(*),
        coalesce(max(octet_length(body) + octet_length(metadata) + pg_column_size(channel_versions)), 0)
            + coalesce(max(octet_length(native_metadata)), 0) AS largest
    FROM checkpointd.checkpoints WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
) AS checkpoints
CROSS JOIN (
    SELECT count(*), coalesce(max(octet_length(data)), 0) AS largest
    FROM checkpointd.writes WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
) AS writes

-- name: verify_bases
-- The values of a thread without what they hold: what each is a change of, and how many bytes its row has.
SELECT
    checkpoint_ns, channel, version, base_version,
    coalesce(octet_length(data), 0) + coalesce(octet_length(pieces), 0)
FROM checkpointd.channel_values
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
ORDER BY checkpoint_ns, channel, version

-- name: verify_values
-- Some values of a thread, in the order asked for.
SELECT stored.data, stored.base_version, stored.pieces, stored.hash
FROM unnest(%(namespaces)s::text[], %(channels)s::text[], %(versions)s::text[])
    WITH ORDINALITY AS given (checkpoint_ns, channel, version, number)
CROSS JOIN LATERAL (
    SELECT data, base_version, pieces, hash FROM checkpointd.channel_values
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = given.checkpoint_ns
        AND channel = given.channel AND version = given.version
    LIMIT 1
) AS stored
ORDER BY given.number

-- name: verify_unused
-- How many values of a thread no checkpoint names, nor is one that it names built from them.
WITH RECURSIVE used AS (
    SELECT stored.checkpoint_ns, entry.key COLLATE "C" AS channel, entry.value COLLATE "C" AS version
    FROM checkpointd.checkpoints AS stored
    CROSS JOIN LATERAL jsonb_each_text(
        CASE jsonb_typeof(stored.channel_versions) WHEN 'object' THEN stored.channel_versions ELSE '{}' END
    ) AS entry
    WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s
    UNION
    SELECT used.checkpoint_ns, used.channel, stored.base_version
    FROM used
    CROSS JOIN LATERAL (
        SELECT base_version FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = used.checkpoint_ns
            AND channel = used.channel AND version = used.version
        LIMIT 1
    ) AS stored
    WHERE stored.base_version IS NOT NULL
)
SELECT count(*)
FROM checkpointd.channel_values AS stored
WHERE stored.tenant = %(tenant)s AND stored.thread_id = %(thread_id)s AND NOT EXISTS (
    SELECT FROM used
    WHERE used.checkpoint_ns = stored.checkpoint_ns AND used.channel = stored.channel AND used.version = stored.version
)

-- name: verify_checkpoints
SELECT checkpoint_ns, checkpoint_id, hidden, channel_versions::text, metadata, native_metadata, body
FROM checkpointd.checkpoints
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
ORDER BY checkpoint_ns, checkpoint_id

-- name: verify_writes
SELECT checkpoint_ns, checkpoint_id, task_id, idx, data, hash
FROM checkpointd.writes
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s
ORDER BY checkpoint_ns, checkpoint_id, task_id, idx
