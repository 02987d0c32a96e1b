-- Events: what was committed, for those who watch.

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

CREATE TYPE checkpointd.thread_row_v4 AS (
    tenant text,
    thread_id text,
    commits bigint,
    graph_hash text,
    epoch bigint,
    events bytea
);
