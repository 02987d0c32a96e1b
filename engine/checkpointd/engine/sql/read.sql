-- name: head
-- The head of a namespace.
SELECT * FROM checkpointd.checkpoints
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s AND NOT hidden
ORDER BY seq DESC
LIMIT 1

-- name: by_id
-- One checkpoint by its id. Whether it is hidden is asked outside, where it can't choose the index.
SELECT * FROM (
    SELECT * FROM checkpointd.checkpoints
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
        AND checkpoint_id = %(checkpoint_id)s
    LIMIT 1
) AS found
WHERE NOT hidden

-- name: matching
-- What a list may ask of a checkpoint. Each part is off at its empty value.
(%(checkpoint_id)s = '' OR candidate.checkpoint_id = %(checkpoint_id)s)
AND NOT EXISTS (
    SELECT FROM jsonb_each(%(filter)s::jsonb) AS wanted
    WHERE coalesce(candidate.metadata::jsonb -> wanted.key, 'null') IS DISTINCT FROM wanted.value
)

-- name: before_in_namespace
-- `before` compares by seq where the namespace holds that checkpoint, else by id. Looked up once for the list.
CASE WHEN %(before)s = '' THEN true ELSE coalesce(
    candidate.seq < (
        SELECT bound.seq FROM checkpointd.checkpoints AS bound
        WHERE bound.tenant = %(tenant)s AND bound.thread_id = %(thread_id)s
            AND bound.checkpoint_ns = %(checkpoint_ns)s AND bound.checkpoint_id = %(before)s
    ),
    candidate.checkpoint_id < %(before)s
) END

-- name: before_anywhere
-- The same where candidates are of many namespaces.
CASE WHEN %(before)s = '' THEN true ELSE coalesce(
    candidate.seq < (
        SELECT bound.seq FROM checkpointd.checkpoints AS bound
        WHERE bound.tenant = candidate.tenant AND bound.thread_id = candidate.thread_id
            AND bound.checkpoint_ns = candidate.checkpoint_ns AND bound.checkpoint_id = %(before)s
    ),
    candidate.checkpoint_id < %(before)s
) END

-- name: page_of_namespace
-- A page of one namespace, newest commit first, below seq `below`.
SELECT * FROM checkpointd.checkpoints AS candidate
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
    AND seq < %(below)s AND NOT hidden AND {{matching}} AND {{before_in_namespace}}
ORDER BY seq DESC
LIMIT %(size)s

-- name: page_of_thread
-- A page of all namespaces of a thread, newest commit first, below seq `below`.
SELECT * FROM checkpointd.checkpoints AS candidate
WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND seq < %(below)s AND NOT hidden AND {{matching}}
    AND {{before_anywhere}}
ORDER BY seq DESC
LIMIT %(size)s

-- name: page_of_tenant
-- A page of all threads, by checkpoint id, greatest first: sequences of different threads can't be compared.
SELECT * FROM checkpointd.checkpoints AS candidate
WHERE tenant = %(tenant)s AND NOT hidden AND {{matching}} AND {{before_anywhere}}
    AND (
        NOT %(continued)s
        OR (checkpoint_id, thread_id, checkpoint_ns) < (%(last_id)s, %(last_thread)s, %(last_ns)s)
    )
ORDER BY checkpoint_id DESC, thread_id DESC, checkpoint_ns DESC
LIMIT %(size)s

-- name: shape
-- Checkpoints of a page without values and writes: the first of the kinds of rows that tuples.py reads.
SELECT
    0 AS kind, thread_id, checkpoint_ns, checkpoint_id AS name, seq, coalesce(parent_id, '') AS text1, metadata AS text2,
    channel_versions::text AS text3, NULL AS text4, 0 AS idx, committed_at, body AS data, native_metadata
FROM page

-- name: full
-- Checkpoints of a page, each value that they share once, and their writes. LATERAL with LIMIT or OFFSET makes every
-- look-up one by primary key, whatever the table's statistics say.
{{shape}}
UNION ALL
SELECT
    1, stored.thread_id, stored.checkpoint_ns, stored.channel, 0, stored.version, stored.encoding, NULL, NULL, 0, NULL,
    stored.data, NULL
FROM (
    SELECT DISTINCT page.thread_id, page.checkpoint_ns, entry.key AS channel, entry.value AS version
    FROM page CROSS JOIN LATERAL jsonb_each_text(page.channel_versions) AS entry
) AS wanted
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.channel_values
    WHERE tenant = %(tenant)s AND thread_id = wanted.thread_id AND checkpoint_ns = wanted.checkpoint_ns
        AND channel = wanted.channel AND version = wanted.version
    LIMIT 1
) AS stored
UNION ALL
SELECT
    2, page.thread_id, page.checkpoint_ns, page.checkpoint_id, stored.seq, stored.task_id, stored.task_path,
    stored.channel, stored.encoding, stored.idx, NULL, stored.data, NULL
FROM page
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.writes
    WHERE tenant = %(tenant)s AND thread_id = page.thread_id AND checkpoint_ns = page.checkpoint_ns
        AND checkpoint_id = page.checkpoint_id
    OFFSET 0
) AS stored

-- name: get_head
WITH page AS MATERIALIZED ({{head}}) {{full}}

-- name: get_by_id
WITH page AS MATERIALIZED ({{by_id}}) {{full}}

-- name: list_namespace_full
WITH page AS MATERIALIZED ({{page_of_namespace}}) {{full}}

-- name: list_namespace_metadata
WITH page AS MATERIALIZED ({{page_of_namespace}}) {{shape}}

-- name: list_thread_full
WITH page AS MATERIALIZED ({{page_of_thread}}) {{full}}

-- name: list_thread_metadata
WITH page AS MATERIALIZED ({{page_of_thread}}) {{shape}}

-- name: list_tenant_full
WITH page AS MATERIALIZED ({{page_of_tenant}}) {{full}}

-- name: list_tenant_metadata
WITH page AS MATERIALIZED ({{page_of_tenant}}) {{shape}}

-- name: history
-- The ancestors of a target that each channel's history takes, with seeds and writes. The walk follows each channel to
-- the nearest ancestor that holds a value of it. UNION, not UNION ALL: a parent that leads back to itself ends the walk.
, walk AS (
    SELECT
        channel, target.checkpoint_id, coalesce(target.history_parent_id, target.parent_id) AS next_id,
        NULL::text COLLATE "C" AS seed
    FROM target CROSS JOIN unnest(%(channels)s::text[]) AS channel
    UNION
    SELECT
        walk.channel, ancestor.checkpoint_id, coalesce(ancestor.history_parent_id, ancestor.parent_id), stored.version
    FROM walk
    CROSS JOIN LATERAL (
        SELECT * FROM checkpointd.checkpoints
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
            AND checkpoint_id = walk.next_id
        LIMIT 1
    ) AS ancestor
    LEFT JOIN LATERAL (
        SELECT version FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
            AND channel = walk.channel AND version = ancestor.channel_versions ->> walk.channel
        LIMIT 1
    ) AS stored ON true
    WHERE walk.seed IS NULL
)
SELECT
    0 AS kind, '' AS channel, checkpoint_id, '' AS text1, '' AS text2, 0::bigint AS seq, 0 AS idx, '' AS encoding,
    NULL::bytea AS data
FROM target
UNION ALL
SELECT 1, channel, checkpoint_id, coalesce(next_id, ''), '', 0, 0, '', NULL
FROM walk
UNION ALL
SELECT 2, walk.channel, walk.checkpoint_id, '', '', 0, 0, stored.encoding, stored.data
FROM walk
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.channel_values
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
        AND channel = walk.channel AND version = walk.seed
    LIMIT 1
) AS stored
UNION ALL
SELECT
    3, walk.channel, walk.checkpoint_id, stored.task_id, stored.task_path, stored.seq, stored.idx, stored.encoding,
    stored.data
FROM walk
JOIN target ON target.checkpoint_id <> walk.checkpoint_id
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.writes
    WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
        AND checkpoint_id = walk.checkpoint_id AND channel = walk.channel
    OFFSET 0
) AS stored

-- name: history_of_head
WITH RECURSIVE target AS MATERIALIZED ({{head}}) {{history}}

-- name: history_by_id
WITH RECURSIVE target AS MATERIALIZED ({{by_id}}) {{history}}

-- name: namespace_ends
-- The head of a namespace, and the greatest id in it, hidden ones too; empty where there is none.
SELECT
    coalesce((SELECT checkpoint_id FROM ({{head}}) AS head), ''),
    coalesce((
        SELECT checkpoint_id FROM checkpointd.checkpoints
        WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s AND checkpoint_ns = %(checkpoint_ns)s
        ORDER BY checkpoint_id DESC
        LIMIT 1
    ), '')
