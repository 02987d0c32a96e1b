-- name: is_citus
SELECT to_regclass('pg_catalog.pg_dist_partition') IS NOT NULL

-- name: is_distributed
SELECT EXISTS (SELECT FROM pg_dist_partition WHERE logicalrelid = 'checkpointd.threads'::regclass AND partmethod = 'h')

-- name: was_made_on_citus
-- Whether other nodes know the types of our parameters: those that were made after the extension.
SELECT EXISTS (SELECT FROM pg_catalog.pg_dist_object WHERE objid = 'checkpointd.checkpoint_row_v1'::regtype)

-- name: distribute_threads
SELECT create_distributed_table('checkpointd.threads', 'thread_id', colocate_with => 'none')

-- name: distribute_with_threads
SELECT create_distributed_table('checkpointd.' || name, 'thread_id', colocate_with => 'checkpointd.threads')
FROM unnest(ARRAY[
    'thread_labels', 'checkpoints', 'channel_values', 'writes', 'leases', 'requests', 'thread_bytes'
]) AS name

-- name: distribute_graphs
-- What reads of states join: on every node.
SELECT create_reference_table('checkpointd.' || name) FROM unnest(ARRAY['graphs', 'graph_versions']) AS name
