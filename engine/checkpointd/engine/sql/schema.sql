-- The whole schema as all migrations together make it (a test proves that). To be read; the server runs the migrations.
-- Every key begins with (tenant, thread_id). Text that is compared is COLLATE "C": byte order, the
-- same in every database, and the cheapest.

-- A thread has another epoch once values may have been removed from it, and when it is made anew. Who stores a change
-- names the epoch in which its base was there; refuse_base_v1 ends the statement of who is late.
CREATE SEQUENCE checkpointd.epochs;

CREATE FUNCTION checkpointd.refuse_base_v1() RETURNS boolean LANGUAGE plpgsql AS
$$BEGIN RAISE EXCEPTION 'the base of a change may be gone' USING ERRCODE = 'CK001'; END$$;

-- One row a thread. Its lock orders the thread's commits: seq is the number of the last one. graph_hash is the description
-- of the graph that wrote it last, as far as the writer said; owner is whose it is, NULL: nobody's in particular.
CREATE TABLE checkpointd.threads (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    graph_hash text COLLATE "C",
    swept_seq bigint NOT NULL DEFAULT 0,
    epoch bigint NOT NULL DEFAULT nextval('checkpointd.epochs'),
    owner text COLLATE "C",
    PRIMARY KEY (tenant, thread_id)
) WITH (fillfactor = 70);

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

-- One row a checkpoint, without its values. channel_versions maps channel to version; body is the contract's Checkpoint
-- message without what has a column here; native_metadata the contract's Value message. A hidden row serves channel
-- histories only (see remove_checkpoints.sql); history_parent_id leads from a visible row to a hidden parent.
CREATE TABLE checkpointd.checkpoints (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    checkpoint_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    hidden boolean NOT NULL DEFAULT false,
    committed_at timestamptz NOT NULL DEFAULT now(),
    parent_id text COLLATE "C",
    history_parent_id text COLLATE "C",
    run_id text COLLATE "C",
    channel_versions jsonb NOT NULL,
    metadata text NOT NULL,
    native_metadata bytea,
    body bytea NOT NULL,
    PRIMARY KEY (tenant, thread_id, checkpoint_ns, checkpoint_id)
);

-- The head of a namespace, and lists newest first. Partial, so that it can't be taken for a look-up by id, which asks for
-- hidden rows too and would read the whole namespace in it.
CREATE UNIQUE INDEX checkpoints_by_seq ON checkpointd.checkpoints (tenant, thread_id, checkpoint_ns, seq)
WHERE NOT hidden;

CREATE INDEX checkpoints_by_run ON checkpointd.checkpoints (tenant, run_id) WHERE run_id IS NOT NULL;

-- One row a value, shared by every checkpoint whose channel_versions names it. data is the whole value, or NULL: then the
-- value is what pieces (the contract's ValueChange message) make of the value under base_version, of the same channel.
-- links counts such steps since the last value that other steps skip to (see values.py). hash is the XXH64 of the whole
-- value; NULL in rows of older versions.
CREATE TABLE checkpointd.channel_values (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    version text COLLATE "C" NOT NULL,
    encoding text COLLATE "C" NOT NULL,
    data bytea,
    base_version text COLLATE "C",
    pieces bytea,
    links smallint NOT NULL DEFAULT 0,
    hash bigint,
    PRIMARY KEY (tenant, thread_id, checkpoint_ns, channel, version)
);

-- One row a write. No foreign key: writes may come before their checkpoint.
CREATE TABLE checkpointd.writes (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    checkpoint_ns text COLLATE "C" NOT NULL,
    checkpoint_id text COLLATE "C" NOT NULL,
    task_id text COLLATE "C" NOT NULL,
    idx integer NOT NULL,
    seq bigint NOT NULL,
    task_path text COLLATE "C" NOT NULL,
    channel text COLLATE "C" NOT NULL,
    encoding text COLLATE "C" NOT NULL,
    data bytea NOT NULL,
    hash bigint,
    PRIMARY KEY (tenant, thread_id, checkpoint_ns, checkpoint_id, task_id, idx)
);

-- Which threads may be interrupted or have failed: those of which a task has said so, be it long ago. Few writes do, and all
-- others pass by.
CREATE INDEX writes_by_mark ON checkpointd.writes (tenant, channel, thread_id)
WHERE channel IN ('__interrupt__', '__error__');

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

-- The rows that one commit statement takes, a composite array a table (see commit.sql). thread_no is the place of the
-- thread in the statement's list; seq counts back from the thread's seq after the commit. A change gets a new name with
-- a new number, so that servers of the version before go on beside it.
CREATE TYPE checkpointd.thread_row_v1 AS (tenant text, thread_id text, commits bigint);

CREATE TYPE checkpointd.thread_row_v2 AS (tenant text, thread_id text, commits bigint, graph_hash text);

CREATE TYPE checkpointd.checkpoint_row_v1 AS (
    thread_no integer,
    seq_back bigint,
    checkpoint_ns text,
    checkpoint_id text,
    parent_id text,
    run_id text,
    channel_versions text,
    metadata text,
    native_metadata bytea,
    body bytea
);

CREATE TYPE checkpointd.value_row_v1 AS (
    thread_no integer,
    checkpoint_ns text,
    channel text,
    version text,
    encoding text,
    data bytea
);

CREATE TYPE checkpointd.write_row_v1 AS (
    thread_no integer,
    seq_back bigint,
    checkpoint_ns text,
    checkpoint_id text,
    task_id text,
    idx integer,
    task_path text,
    channel text,
    encoding text,
    data bytea
);

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

CREATE TYPE checkpointd.thread_row_v4 AS (
    tenant text,
    thread_id text,
    commits bigint,
    graph_hash text,
    epoch bigint,
    events bytea
);

-- What must hold for a thread's commit to be stored (see commit_checked).
CREATE TYPE checkpointd.condition_row_v1 AS (thread_no integer, checkpoint_ns text, expected_head text, token bigint);

-- One row a request that was named by its caller and carried out. It outlives its thread.
CREATE TABLE checkpointd.requests (
    tenant text COLLATE "C" NOT NULL,
    thread_id text COLLATE "C" NOT NULL,
    request_id text COLLATE "C" NOT NULL,
    digest bytea NOT NULL,
    answer bytea NOT NULL,
    answered_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (tenant, thread_id, request_id)
);

-- One row a key. secret_hash is the SHA-256 of its secret, which is nowhere. An operator's key is of the tenant '*', which no
-- tenant can be called. One that was revoked has expired. It is found by its id alone, since only the key tells the tenant.
CREATE TABLE checkpointd.api_keys (
    tenant text COLLATE "C" NOT NULL,
    key_id text COLLATE "C" NOT NULL,
    secret_hash bytea NOT NULL,
    name text NOT NULL,
    role smallint NOT NULL,
    thread_id_prefixes text[] NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    expires_at timestamptz,
    PRIMARY KEY (key_id)
);

CREATE INDEX api_keys_of_tenant ON checkpointd.api_keys (tenant, created_at);

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

CREATE SEQUENCE checkpointd.event_numbers;

-- The turn of an event that is made now: not before those of transactions that have ended, nor that of its own. To be called
-- under the lock that orders the thread's events; in plpgsql, so that it looks anew when the lock is had.
CREATE FUNCTION checkpointd.event_turn_v1() RETURNS bigint LANGUAGE plpgsql AS
$$BEGIN RETURN greatest(
    pg_current_xact_id()::text::bigint, pg_snapshot_xmax(pg_current_snapshot())::text::bigint - 1
); END$$;

-- One row for what one transaction does to one thread at once. body is the contract's WatchResponse, whose events lack what has
-- a column here; that of a commit has an event an op, of which the first has the sequence seq + 1. Events are told in the order
-- of (turn, number), those whose turn is over: no transaction that may have it is left.
CREATE TABLE checkpointd.events (
    tenant text COLLATE "C" NOT NULL,
    turn bigint NOT NULL DEFAULT checkpointd.event_turn_v1(),
    number bigint NOT NULL DEFAULT nextval('checkpointd.event_numbers'),
    thread_id text COLLATE "C" NOT NULL,
    seq bigint NOT NULL,
    committed_at timestamptz NOT NULL DEFAULT now(),
    body bytea NOT NULL,
    PRIMARY KEY (tenant, turn, number)
);

-- The last event of each tenant that was removed, once one was.
CREATE TABLE checkpointd.forgotten_events (
    tenant text COLLATE "C" NOT NULL,
    turn bigint NOT NULL,
    number bigint NOT NULL,
    PRIMARY KEY (tenant)
);

-- What tokens of watches are signed with, by every server of the database; one row, which the first server makes. cluster is the
-- PostgreSQL that turns are of.
CREATE TABLE checkpointd.watch_keys (
    id integer NOT NULL PRIMARY KEY CHECK (id = 1),
    key bytea NOT NULL,
    cluster bigint NOT NULL
);
