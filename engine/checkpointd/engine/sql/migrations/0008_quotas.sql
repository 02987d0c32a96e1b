-- What tenants may use, and what they do.

-- One row a tenant that has a quota; NULL is no limit. What it uses is as of counted_at, NULL before the first count. Who
-- counts claims the row first, so that one server does it at a time, and nobody again before claimed_until.
CREATE TABLE checkpointd.quotas (
    tenant text COLLATE "C" NOT NULL,
    max_threads bigint,
    max_bytes bigint,
    max_ops_per_second bigint,
    threads bigint NOT NULL DEFAULT 0,
    bytes bigint NOT NULL DEFAULT 0,
    counted_at timestamptz,
    claimed_until timestamptz NOT NULL DEFAULT '-infinity',
    PRIMARY KEY (tenant)
);

-- One row a thread of a tenant that has a quota: how many bytes it had when seq and epoch were these. Threads that have
-- not changed since are not counted again.
CREATE TABLE checkpointd.thread_bytes (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    epoch bigint NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (tenant, thread_id)
);
