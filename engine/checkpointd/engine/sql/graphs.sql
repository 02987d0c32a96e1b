-- name: graph
-- The description that a read is to be made with, as a row of the kinds that tuples.py reads (name: its hash, data: it):
-- the one named by hash, the newest under a name, or the one that wrote the thread. `known` are the hashes of those that
-- the server has at hand; they come without data, as does a hash under which nothing is registered, without `seq`.
SELECT
    3 AS kind, %(thread_id)s AS thread_id, '' AS checkpoint_ns, chosen.graph_hash AS name,
    CASE WHEN graphs.graph_hash IS NULL THEN 0 ELSE 1 END::bigint AS seq, '' AS text1, '' AS text2, '' AS text3,
    '' AS text4, 0 AS idx, NULL::timestamptz AS committed_at,
    CASE WHEN graphs.graph_hash <> ALL(%(known)s::text[]) THEN graphs.spec END AS data, NULL::bytea AS native_metadata
FROM (
    SELECT CASE
        WHEN %(graph_hash)s <> '' THEN %(graph_hash)s
        WHEN %(graph_name)s <> '' THEN (
            SELECT named.graph_hash FROM checkpointd.graph_versions AS named
            WHERE named.tenant = %(tenant)s AND named.graph_name = %(graph_name)s
            ORDER BY named.version DESC
            LIMIT 1
        )
        ELSE (SELECT graph_hash FROM checkpointd.threads WHERE tenant = %(tenant)s AND thread_id = %(thread_id)s)
    END AS graph_hash
) AS chosen
LEFT JOIN checkpointd.graphs ON graphs.tenant = %(tenant)s AND graphs.graph_hash = chosen.graph_hash
WHERE chosen.graph_hash IS NOT NULL

-- name: choose_graph
{{graph}}

-- name: state_of_head
WITH RECURSIVE page AS MATERIALIZED ({{head}}) {{full}} UNION ALL {{graph}}

-- name: state_by_id
WITH RECURSIVE page AS MATERIALIZED ({{by_id}}) {{full}} UNION ALL {{graph}}

-- name: lock_graph_name
-- Lets one registration under a name go on at a time, until the transaction ends.
SELECT pg_advisory_xact_lock('checkpointd.graph_versions'::regclass::oid::integer, hashtext(%(tenant)s || '/' || %(graph_name)s))

-- name: store_graph
INSERT INTO checkpointd.graphs (tenant, graph_hash, spec)
VALUES (%(tenant)s, %(graph_hash)s, %(spec)s)
ON CONFLICT (tenant, graph_hash) DO NOTHING

-- name: graph_version
-- The version that a description is under a name, NULL for none, and the newest one there is.
SELECT max(version) FILTER (WHERE graph_hash = %(graph_hash)s), coalesce(max(version), 0)
FROM checkpointd.graph_versions
WHERE tenant = %(tenant)s AND graph_name = %(graph_name)s

-- name: add_graph_version
INSERT INTO checkpointd.graph_versions (tenant, graph_name, version, graph_hash)
VALUES (%(tenant)s, %(graph_name)s, %(version)s, %(graph_hash)s)
