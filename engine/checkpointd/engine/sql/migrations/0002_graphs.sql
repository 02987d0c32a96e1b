-- Descriptions of graphs, by their content and by name, and which one wrote a thread.

-- One row a description. Its hash names its content, so a row never changes. On a distributed PostgreSQL this and
-- graph_versions are reference tables: small, and the same for all threads.
CREATE TABLE checkpointd.graphs (
    tenant text COLLATE "C" NOT NULL,
    graph_hash text COLLATE "C" NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    spec bytea NOT NULL,
    PRIMARY KEY (tenant, graph_hash)
);

-- One row a description under a name, counted from 1. Nothing is overwritten.
CREATE TABLE checkpointd.graph_versions (
    tenant text COLLATE "C" NOT NULL,
    graph_name text COLLATE "C" NOT NULL,
    version integer NOT NULL,
    graph_hash text COLLATE "C" NOT NULL,
    registered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, graph_name, version),
    UNIQUE (tenant, graph_name, graph_hash)
);

ALTER TABLE checkpointd.threads ADD COLUMN graph_hash text COLLATE "C";

-- thread_row_v1 stays for servers of the version before.
CREATE TYPE checkpointd.thread_row_v2 AS (tenant text, thread_id text, commits bigint, graph_hash text);
