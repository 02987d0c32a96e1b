-- What keeps repeated requests and orphaned writes from doing harm.

-- One row a request that was named by its caller (request_id) and carried out. It outlives its thread, since a repeat may
-- come after that was deleted; the sweep removes it after a day.
CREATE TABLE checkpointd.requests (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    answer bytea NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, thread_id, request_id)
);

-- The commit up to which the sweep has looked for writes without a checkpoint.
ALTER TABLE checkpointd.threads ADD COLUMN swept_seq bigint NOT NULL DEFAULT 0;
