-- What becomes of threads and checkpoints in time.

-- One row a policy; policy is the contract's RetentionPolicy message.
CREATE TABLE checkpointd.retention_policies (
    tenant text COLLATE "C" NOT NULL,
    name text COLLATE "C" NOT NULL,
    policy bytea NOT NULL,
    PRIMARY KEY (tenant, name)
);

-- One row a piece of work that one server at a time does. Who does it has until then to say that it goes on.
CREATE TABLE checkpointd.chores (
    name text COLLATE "C" NOT NULL,
    holder text COLLATE "C" NOT NULL,
    held_until timestamptz NOT NULL,
    PRIMARY KEY (name)
);
