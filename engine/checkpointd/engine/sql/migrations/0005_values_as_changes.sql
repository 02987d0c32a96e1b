-- Values that are stored as changes of others, and hashes by which any value can be verified.
--
-- Servers of the version before can't read what is stored so: stop them before the first server of this version starts.

-- data is the whole value, or NULL: then the value is what pieces (the contract's ValueChange message) make of the value
-- under base_version, of the same channel. links counts such steps since the last value that other steps skip to (see
-- values.py). hash is the XXH64 of the whole value; NULL in rows of older versions.
ALTER TABLE checkpointd.channel_values
    ALTER COLUMN data DROP NOT NULL,
    ADD COLUMN base_version text COLLATE "C",
    ADD COLUMN pieces bytea,
    ADD COLUMN links smallint NOT NULL DEFAULT 0,
    ADD COLUMN hash bigint;

ALTER TABLE checkpointd.writes ADD COLUMN hash bigint;

-- A thread has another epoch once values may have been removed from it, and when it is made anew. Who stores a change
-- names the epoch in which its base was there.
CREATE SEQUENCE checkpointd.epochs;

ALTER TABLE checkpointd.threads ADD COLUMN epoch bigint NOT NULL DEFAULT 0;

ALTER TABLE checkpointd.threads ALTER COLUMN epoch SET DEFAULT nextval('checkpointd.epochs');

CREATE FUNCTION checkpointd.refuse_base_v1() RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'the base of a change may be gone' USING ERRCODE = 'CK001'; END$$;

CREATE TYPE checkpointd.thread_row_v3 AS (
    tenant text,
    thread_id text,
    commits bigint,
    graph_hash text,
    epoch bigint
);

CREATE TYPE checkpointd.value_row_v2 AS (
    thread_no integer,
    checkpoint_ns text,
    channel text,
    version text,
    encoding text,
    data bytea,
    base_version text,
    base_hash bigint,
    pieces bytea,
    links smallint,
    hash bigint
);

CREATE TYPE checkpointd.write_row_v2 AS (
    thread_no integer,
    seq_back bigint,
    checkpoint_ns text,
    checkpoint_id text,
    task_id text,
    idx integer,
    task_path text,
    channel text,
    encoding text,
    data bytea,
    hash bigint
);
