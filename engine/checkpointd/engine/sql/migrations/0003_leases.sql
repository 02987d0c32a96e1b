-- The right to write a thread, for a time.

-- Fencing tokens. One sequence for all, so that a token is greater than every one before it without anything having to be
-- remembered of a thread that was deleted.
CREATE SEQUENCE checkpointd.fencing_tokens;

-- One row a thread that somebody has taken. One that was released, or whose thread was deleted, is gone.
CREATE TABLE checkpointd.leases (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    token bigint NOT NULL,
    holder text COLLATE "C" NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (tenant, thread_id)
);

-- What must hold for a thread's commit to be stored (see commit_checked).
CREATE TYPE checkpointd.condition_row_v1 AS (thread_no integer, checkpoint_ns text, expected_head text, token bigint);
