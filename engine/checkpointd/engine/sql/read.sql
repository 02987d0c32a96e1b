-- name: of_wanted
-- Whose thread the values are that a read looks up.
wanted.thread_id

-- name: of_steps
steps.thread_id

-- name: of_page
page.thread_id

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
        {{seq_of_before}} AND bound.thread_id = %(thread_id)s AND bound.checkpoint_ns = %(checkpoint_ns)s
    ),
    candidate.checkpoint_id < %(before)s
) END

-- name: before_in_thread
-- The same where candidates are of many namespaces.
CASE WHEN %(before)s = '' THEN true ELSE coalesce(
    candidate.seq < (
        {{seq_of_before}} AND bound.thread_id = %(thread_id)s AND bound.checkpoint_ns = candidate.checkpoint_ns
    ),
    candidate.checkpoint_id < %(before)s
) END

-- name: before_anywhere
-- And of many threads.
CASE WHEN %(before)s = '' THEN true ELSE coalesce(
    candidate.seq < (
        {{seq_of_before}} AND bound.thread_id = candidate.thread_id AND bound.checkpoint_ns = candidate.checkpoint_ns
    ),
    candidate.checkpoint_id < %(before)s
) END

-- name: seq_of_before
SELECT bound.seq FROM checkpointd.checkpoints AS bound
        WHERE bound.tenant = %(tenant)s AND bound.checkpoint_id = %(before)s

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
    AND {{before_in_thread}}
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

-- name: steps
-- What the values in `wanted` are built from: their own rows, and those of the values that they are changes of. Of values
-- that are known already (by channel, version, hash and encoding) nothing is read but that.
steps AS (
    SELECT
        wanted.thread_id, wanted.checkpoint_ns, wanted.channel, wanted.version, stored.base_version,
        ((wanted.channel, wanted.version, stored.hash, stored.encoding) IN (
            SELECT * FROM unnest(
                %(known_channels)s::text[], %(known_versions)s::text[], %(known_hashes)s::int8[],
                %(known_encodings)s::text[]
            )
        )) IS TRUE AS known
    FROM wanted
    CROSS JOIN LATERAL (
        SELECT base_version, hash, encoding FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = {{of_wanted}} AND checkpoint_ns = wanted.checkpoint_ns
            AND channel = wanted.channel AND version = wanted.version
        LIMIT 1
    ) AS stored
    UNION
    SELECT steps.thread_id, steps.checkpoint_ns, steps.channel, steps.base_version, stored.base_version, false
    FROM steps
    CROSS JOIN LATERAL (
        SELECT base_version FROM checkpointd.channel_values
        WHERE tenant = %(tenant)s AND thread_id = {{of_steps}} AND checkpoint_ns = steps.checkpoint_ns
            AND channel = steps.channel AND version = steps.base_version
        LIMIT 1
    ) AS stored
    WHERE steps.base_version IS NOT NULL AND NOT steps.known
)

-- name: values_of_steps
-- LATERAL with LIMIT or OFFSET makes every look-up one by primary key, whatever the table's statistics say.
steps CROSS JOIN LATERAL (
    SELECT
        encoding, base_version, links, hash,
        CASE WHEN NOT steps.known THEN data END AS data, CASE WHEN NOT steps.known THEN pieces END AS pieces
    FROM checkpointd.channel_values
    WHERE tenant = %(tenant)s AND thread_id = {{of_steps}} AND checkpoint_ns = steps.checkpoint_ns
        AND channel = steps.channel AND version = steps.version
    LIMIT 1
) AS stored

-- name: wanted
-- The values of the checkpoints of a page, each that they share once.
wanted AS (
    SELECT DISTINCT
        page.thread_id, page.checkpoint_ns, entry.key COLLATE "C" AS channel, entry.value COLLATE "C" AS version
    FROM page CROSS JOIN LATERAL jsonb_each_text(page.channel_versions) AS entry
)

-- name: full
-- Checkpoints of a page, what their values are built from, and their writes.
, {{wanted}}, {{steps}}
{{shape}}
UNION ALL
SELECT
    1, steps.thread_id, steps.checkpoint_ns, steps.channel, coalesce(stored.hash, 0), steps.version, stored.encoding,
    stored.base_version, NULL, CASE WHEN stored.hash IS NULL THEN -1 ELSE stored.links END, NULL, stored.data,
    stored.pieces
FROM {{values_of_steps}}
UNION ALL
SELECT
    2, page.thread_id, page.checkpoint_ns, page.checkpoint_id, stored.seq, stored.task_id, stored.task_path,
    stored.channel, stored.encoding, stored.idx, NULL, stored.data, NULL
FROM page
CROSS JOIN LATERAL (
    SELECT * FROM checkpointd.writes
    WHERE tenant = %(tenant)s AND thread_id = {{of_page}} AND checkpoint_ns = page.checkpoint_ns
        AND checkpoint_id = page.checkpoint_id
    OFFSET 0
) AS stored

-- name: value
-- One value: the epoch of its thread, and the rows that it is built from.
WITH RECURSIVE wanted AS (
    SELECT
        %(thread_id)s::text COLLATE "C" AS thread_id, %(checkpoint_ns)s::text COLLATE "C" AS checkpoint_ns,
        %(channel)s::text COLLATE "C" AS channel, %(version)s::text COLLATE "C" AS version
),
{{steps}}
SELECT
    thread.epoch, steps.version, stored.encoding, stored.data, stored.base_version, stored.pieces, stored.links,
    stored.hash
FROM (SELECT epoch FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s) AS thread
CROSS JOIN {{values_of_steps}}

-- name: get_head
WITH RECURSIVE page AS MATERIALIZED ({{head}}) {{full}}

-- name: get_by_id
WITH RECURSIVE page AS MATERIALIZED ({{by_id}}) {{full}}

-- name: list_namespace_full
WITH RECURSIVE page AS MATERIALIZED ({{page_of_namespace}}) {{full}}

-- name: list_namespace_metadata
WITH page AS MATERIALIZED ({{page_of_namespace}}) {{shape}}

-- name: list_thread_full
WITH RECURSIVE page AS MATERIALIZED ({{page_of_thread}}) {{full}}

-- name: list_thread_metadata
WITH page AS MATERIALIZED ({{page_of_thread}}) {{shape}}

-- name: list_tenant_full
WITH RECURSIVE page AS MATERIALIZED ({{page_of_tenant}}) {{full}}

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
),
wanted AS (
    SELECT
        %(thread_id)s::text COLLATE "C" AS thread_id, %(checkpoint_ns)s::text COLLATE "C" AS checkpoint_ns, channel,
        seed AS version
    FROM walk
    WHERE seed IS NOT NULL
),
{{steps}}
SELECT
    0 AS kind, '' AS channel, checkpoint_id, '' AS text1, '' AS text2, 0::bigint AS seq, 0 AS idx, '' AS encoding,
    NULL::bytea AS data, NULL::bytea AS pieces
FROM target
UNION ALL
SELECT 1, channel, checkpoint_id, coalesce(next_id, ''), coalesce(seed, ''), 0, 0, '', NULL, NULL
FROM walk
UNION ALL
SELECT
    2, steps.channel, '', steps.version, stored.base_version, coalesce(stored.hash, 0),
    CASE WHEN stored.hash IS NULL THEN -1 ELSE stored.links END, stored.encoding, stored.data, stored.pieces
FROM {{values_of_steps}}
UNION ALL
SELECT
    3, walk.channel, walk.checkpoint_id, stored.task_id, stored.task_path, stored.seq, stored.idx, stored.encoding,
    stored.data, NULL
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
