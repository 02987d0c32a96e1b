-- What people say of threads, and what finds threads by what they wait for.

-- Whose a thread is. NULL: nobody's in particular.
ALTER TABLE checkpointd.threads ADD COLUMN owner text COLLATE "C";

CREATE INDEX threads_by_owner ON checkpointd.threads (tenant, owner, thread_id) WHERE owner IS NOT NULL;

-- One row a label. It goes with its thread, whoever deletes that.
CREATE TABLE checkpointd.thread_labels (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    key text COLLATE "C" NOT NULL,
    value text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant, thread_id, key),
    FOREIGN KEY (tenant, thread_id) REFERENCES checkpointd.threads (tenant, thread_id) ON DELETE CASCADE
);

CREATE INDEX threads_by_label ON checkpointd.thread_labels (tenant, key, value, thread_id);

-- Which threads may be interrupted or have failed: those of which a task has said so, be it long ago. Few writes do, and all
-- others pass by.
CREATE INDEX writes_by_mark ON checkpointd.writes (tenant, channel, thread_id)
WHERE channel IN ('__interrupt__', '__error__');
