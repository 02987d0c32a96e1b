/** The plain client: each service, and the errors that its calls throw. */
import { randomUUID } from "node:crypto";

import type { MessageInitShape } from "@bufbuild/protobuf";
import { inject } from "vitest";

import {
  AlreadyExists,
  AlreadyWritten,
  Cancelled,
  CheckpointView,
  CheckpointdError,
  Client,
  ClientClosed,
  FailedPrecondition,
  GraphUnknown,
  HeadMoved,
  InvalidRequest,
  LeaseHeld,
  LeaseLost,
  NotFound,
  PruneStrategy,
  TooLarge,
  Unavailable,
  type CheckpointPutSchema,
  type PutCheckpointRequestSchema,
} from "../src/client.js";
import { errorOf, newClient } from "./support/clients.js";

const text = (value: unknown) => ({ encoding: "portable-json/1", data: Buffer.from(JSON.stringify(value)) });

function put(id: string, parent = ""): MessageInitShape<typeof CheckpointPutSchema> {
  return {
    checkpoint: {
      id,
      v: 4,
      ts: "2026-01-02T03:04:05Z",
      channelVersions: { log: id },
      channelValues: { log: text([id]) },
    },
    metadata: { json: JSON.stringify({ source: "loop", step: 0, run_id: `run-${id}` }) },
    parentCheckpointId: parent,
  };
}

async function store(client: Client, threadId: string, ...ids: string[]): Promise<void> {
  for (const [place, id] of ids.entries()) {
    await client.checkpoints.putCheckpoint({ threadId, put: put(id, ids[place - 1]) });
  }
}

describe("checkpoints", () => {
  test("are put, got and listed, newest first", async () => {
    const { checkpoints } = newClient();
    expect((await checkpoints.putCheckpoint({ threadId: "t", put: put("1") })).sequence).toBe(1n);
    await checkpoints.putWrites({
      threadId: "t",
      put: { checkpointId: "1", taskId: "task", writes: [{ idx: 0, channel: "log", value: text("x") }] },
    });
    await checkpoints.putCheckpoint({ threadId: "t", put: put("2", "1") });

    const { checkpointTuple: found } = await checkpoints.getCheckpoint({ threadId: "t", checkpointId: "1" });
    expect(found?.checkpoint?.channelValues["log"]?.data).toEqual(new Uint8Array(Buffer.from('["1"]')));
    expect(found?.pendingWrites.map(({ taskId, write }) => [taskId, write?.idx, write?.channel])).toEqual([
      ["task", 0, "log"],
    ]);

    const listed: string[] = [];
    for await (const { checkpointTuple } of checkpoints.listCheckpoints({
      threadId: "t",
      view: CheckpointView.METADATA,
    })) {
      listed.push(checkpointTuple?.checkpoint?.id ?? "");
    }
    expect(listed).toEqual(["2", "1"]);
  });

  test("are committed together, or not at all", async () => {
    const { checkpoints } = newClient();
    const ops = ["1", "2"].map((id) => ({ op: { case: "putCheckpoint" as const, value: put(id) } }));
    expect((await checkpoints.commit({ threadId: "t", ops })).checkpointSequences).toEqual([1n, 2n]);
    const bad = [...ops, { op: { case: "putCheckpoint" as const, value: { checkpoint: { id: "" } } } }];
    expect(await errorOf(checkpoints.commit({ threadId: "other", ops: bad }))).toBeInstanceOf(InvalidRequest);
    expect(await errorOf(checkpoints.getCheckpoint({ threadId: "other" }))).toBeInstanceOf(NotFound);
  });

  test("give the history of a channel", async () => {
    const client = newClient();
    await store(client, "t", "1", "2");
    const { histories } = await client.checkpoints.getChannelHistory({ threadId: "t", channels: ["log", "none"] });
    expect(Buffer.from(histories["log"]?.seed?.data ?? []).toString()).toBe('["1"]');
    expect(histories["none"]?.seed).toBeUndefined();
  });
});

describe("threads", () => {
  test("are listed page by page, or all of them", async () => {
    const client = newClient();
    for (const id of ["a1", "a2", "b1"]) await store(client, id, "1");
    const page = await client.threads.listThreads({ pageSize: 2 });
    expect(page.threads.map(({ threadId }) => threadId)).toEqual(["a1", "a2"]);
    const rest = await client.threads.listThreads({ pageSize: 2, pageToken: page.nextPageToken });
    expect([rest.threads.map(({ threadId }) => threadId), rest.nextPageToken]).toEqual([["b1"], ""]);

    const all: string[] = [];
    for await (const { threadId } of client.eachThread({ pageSize: 1, threadIdPrefix: "a" })) all.push(threadId);
    expect(all).toEqual(["a1", "a2"]);
  });

  test("are copied, pruned and deleted", async () => {
    const client = newClient();
    await store(client, "t", "1", "2");
    await client.threads.copyThread({ sourceThreadId: "t", targetThreadId: "copy" });
    const { removedCheckpoints } = await client.threads.pruneThreads({
      threadIds: ["copy"],
      strategy: PruneStrategy.KEEP_LATEST,
    });
    expect(removedCheckpoints).toBe(1n);
    expect((await client.threads.deleteRuns({ runIds: ["run-1"] })).removedCheckpoints).toBe(1n);
    expect((await client.threads.getThread({ threadId: "t" })).heads.map((head) => head.checkpointCount)).toEqual([1n]);
    await client.threads.deleteThread({ threadId: "t" });
    const gone = await errorOf(client.threads.getThread({ threadId: "t" }));
    expect(gone).toBeInstanceOf(NotFound);
    expect(gone).toMatchObject({ code: "NOT_FOUND", reason: "THREAD_NOT_FOUND", metadata: { thread_id: "t" } });
  });

  test("of one tenant are not another one's", async () => {
    await store(newClient(), "t", "1");
    expect((await newClient().threads.listThreads({})).threads).toEqual([]);
  });

  test("a request that is sent twice under its name is carried out once", async () => {
    const client = newClient();
    await store(client, "t", "1");
    const request = { threadId: "t", requestId: randomUUID() };
    await client.threads.deleteThread(request);
    await store(client, "t", "2");
    await client.threads.deleteThread(request);
    expect((await client.threads.getThread({ threadId: "t" })).heads).toHaveLength(1);
    await client.threads.deleteThread({ threadId: "t" }); // under a name of its own
    expect(await errorOf(client.threads.getThread({ threadId: "t" }))).toBeInstanceOf(NotFound);
  });
});

test("states of a thread whose graph is not known are what its checkpoint tells", async () => {
  const client = newClient();
  await store(client, "t", "1", "2");
  const { snapshot } = await client.states.getState({ threadId: "t" });
  expect([snapshot?.exists, Object.keys(snapshot?.values ?? {}), (snapshot?.warnings.length ?? 0) > 0]).toEqual([
    true,
    ["log"],
    true,
  ]);
  const history: string[] = [];
  for await (const { snapshot: one } of client.states.getStateHistory({ threadId: "t" }))
    history.push(one?.config?.checkpointId ?? "");
  expect(history).toEqual(["2", "1"]);

  const supersteps = [{ updates: [{ asNode: "a", value: text({ log: "x" }) }] }];
  const unknown = await errorOf(client.states.updateState({ threadId: "t", supersteps }));
  expect(unknown).toBeInstanceOf(GraphUnknown);
  expect(unknown).toBeInstanceOf(FailedPrecondition);
});

describe("leases", () => {
  const ttl = { seconds: 30n };

  test("are acquired, renewed and released", async () => {
    const { leases } = newClient();
    const { lease } = await leases.acquireLease({ threadId: "t", holder: "one", ttl });
    const named = { threadId: "t", holder: "one", fencingToken: lease?.fencingToken ?? 0n };
    expect((await leases.renewLease({ ...named, ttl })).lease?.fencingToken).toBe(lease?.fencingToken);

    const held = await errorOf(leases.acquireLease({ threadId: "t", holder: "other", ttl }));
    expect(held).toBeInstanceOf(LeaseHeld);
    expect(held).toMatchObject({ reason: "LEASE_HELD", metadata: { holder: "one" } });

    await leases.releaseLease(named);
    expect(await errorOf(leases.renewLease({ ...named, ttl }))).toBeInstanceOf(LeaseLost);
  });

  test("fence a write that comes too late", async () => {
    const { checkpoints, leases } = newClient();
    const { lease } = await leases.acquireLease({ threadId: "t", holder: "one", ttl });
    const fencingToken = lease?.fencingToken ?? 0n;
    await checkpoints.putCheckpoint({ threadId: "t", put: put("1"), precondition: { fencingToken } });
    await leases.releaseLease({ threadId: "t", holder: "one", fencingToken });
    const late = checkpoints.putCheckpoint({ threadId: "t", put: put("2", "1"), precondition: { fencingToken } });
    expect(await errorOf(late)).toBeInstanceOf(LeaseLost);
  });
});

describe("errors", () => {
  test("of two writers say which head was found", async () => {
    const client = newClient();
    await store(client, "t", "1", "2");
    const request: MessageInitShape<typeof PutCheckpointRequestSchema> = {
      threadId: "t",
      put: put("3", "1"),
      precondition: { expectedHead: "1" },
    };
    const moved = await errorOf(client.checkpoints.putCheckpoint(request));
    expect(moved).toBeInstanceOf(HeadMoved);
    expect(moved).toMatchObject({ code: "ABORTED", metadata: { expected_head: "1", head: "2" } });

    const writing = (value: unknown) =>
      client.checkpoints.putWrites({
        threadId: "t",
        put: { checkpointId: "2", taskId: "task", writes: [{ channel: "log", value: text(value) }] },
        precondition: { expectedHead: "2" },
      });
    await writing("a");
    await writing("a");
    expect(await errorOf(writing("b"))).toBeInstanceOf(AlreadyWritten);
  });

  test("of a copy say that the target is taken", async () => {
    const client = newClient();
    await store(client, "t", "1");
    await store(client, "other", "9");
    const taken = client.threads.copyThread({ sourceThreadId: "t", targetThreadId: "other" });
    expect(await errorOf(taken)).toBeInstanceOf(AlreadyExists);
  });

  test.each<[string, (client: Client) => Promise<unknown>, string]>([
    ["an empty id", ({ threads }) => threads.getThread({ threadId: "" }), "thread_id"],
    ["a number that is none", ({ threads }) => threads.listThreads({ pageSize: 1.5 }), "page_size"],
    ["a number out of its range", ({ threads }) => threads.listThreads({ pageSize: 1e12 }), "page_size"],
    [
      "text for bytes",
      ({ checkpoints }) =>
        checkpoints.putWrites({ threadId: "t", put: { writes: [{ value: { data: "abc" as never } }] } }),
      "data",
    ],
    ["a negative limit", ({ checkpoints }) => checkpoints.listCheckpoints({ limit: -1n }).next(), "limit"],
    ["no request", ({ threads }) => threads.getThread(undefined as never), "thread_id"],
    ["a timeout that is none", ({ threads }) => threads.listThreads({}, { timeoutMs: Number.NaN }), "timeoutMs"],
  ])("%s is refused, and the field is named", async (_, call, field) => {
    const refused = await errorOf(call(newClient()));
    expect(refused).toBeInstanceOf(InvalidRequest);
    expect(refused).toMatchObject({ code: "INVALID_ARGUMENT", reason: "INVALID_FIELD", metadata: { field } });
  });

  test("of a message over the server's limit say what the limit is", async () => {
    const { checkpoints } = newClient();
    const large = (bytes: number) =>
      checkpoints.putWrites({
        threadId: "t",
        put: {
          checkpointId: "1",
          taskId: "task",
          writes: [{ channel: "log", value: { encoding: "bytes", data: new Uint8Array(bytes) } }],
        },
      });
    for (const bytes of [65 << 20, 130 << 20]) {
      const refused = await errorOf(large(bytes));
      expect(refused).toBeInstanceOf(TooLarge);
      expect((refused as TooLarge).metadata).toMatchObject({ option: "--max-message-size" });
    }
  });

  test("say where they come from, why, and what to do", async () => {
    const moved = new HeadMoved("the head is 'b'", { reason: "HEAD_MOVED", server: "127.0.0.1:1" });
    expect(String(moved)).toBe(
      "HeadMoved: the head is 'b' [ABORTED HEAD_MOVED from 127.0.0.1:1]; read the thread again and decide whether to repeat",
    );
    expect(moved).toBeInstanceOf(CheckpointdError);
    expect(moved).toBeInstanceOf(Error);
  });

  test.each([
    ["target", "localhost"],
    ["target", "http://user:secret@host:1"],
    ["target", "host:70000"],
    ["target", "host:0"],
    ["target", "999.999.999.999:1"],
    ["target", 5 as never],
  ])("%s %j is refused, and not shown", (field, target) => {
    expect(() => new Client(target)).toThrow(InvalidRequest);
    expect(() => new Client(target)).toThrow(field);
    expect(() => new Client(target)).not.toThrow("secret");
  });

  test("are not made of how a target is written", async () => {
    const port = inject("address").split(":")[1] as string;
    expect((await newClient({}, `LocalHost:${port}`).threads.listThreads({})).threads).toEqual([]);
    expect(
      await errorOf(newClient({ timeoutMs: 3000 }, "no-such-host.invalid:80").threads.listThreads({})),
    ).toBeInstanceOf(Unavailable);
  });

  test.each([
    ["tenant", { tenant: "" }],
    ["tenant", { tenant: "a b" }],
    ["tenant", { tenant: "a\r\nx: y" }],
    ["tenant", { tenant: "x".repeat(65) }],
    ["timeoutMs", { timeoutMs: 0 }],
    ["timeoutMs", { timeoutMs: Infinity }],
    ["timeoutMs", { timeoutMs: "5" as never }],
  ])("%s in %j is refused", (field, options) => {
    expect(() => new Client("127.0.0.1:1", options)).toThrow(InvalidRequest);
    expect(() => new Client("127.0.0.1:1", options)).toThrow(field);
  });
});

describe("a call ends", () => {
  const waiting = { threadId: "t", holder: "other", ttl: { seconds: 30n }, wait: { seconds: 3000n } };

  test("by its signal", async () => {
    const client = newClient();
    await client.leases.acquireLease({ threadId: "t", holder: "one", ttl: { seconds: 30n } });
    const aborting = new AbortController();
    const waits = errorOf(client.leases.acquireLease(waiting, { signal: aborting.signal }));
    await client.threads.listThreads({}); // so that the one before is under way
    aborting.abort("enough");
    const cancelled = await waits;
    expect(cancelled).toBeInstanceOf(Cancelled);
    expect(cancelled).toMatchObject({ code: "CANCELLED", cause: "enough" });
    expect(await errorOf(client.threads.listThreads({}, { signal: AbortSignal.abort() }))).toBeInstanceOf(Cancelled);
  });

  test("when the client is closed", async () => {
    const client = newClient();
    await client.leases.acquireLease({ threadId: "t", holder: "one", ttl: { seconds: 30n } });
    const waits = errorOf(client.leases.acquireLease(waiting));
    await client.threads.listThreads({});
    client.close();
    client.close();
    expect(await waits).toBeInstanceOf(ClientClosed);
    expect(await errorOf(client.threads.listThreads({}))).toBeInstanceOf(ClientClosed);
  });

  test("a list, when it is no longer read", async () => {
    const client = newClient();
    await store(client, "t", "1", "2", "3");
    for await (const { checkpointTuple } of client.checkpoints.listCheckpoints({ threadId: "t" })) {
      expect(checkpointTuple?.checkpoint?.id).toBe("3");
      break;
    }
    const aborting = new AbortController();
    const list = client.checkpoints.listCheckpoints({ threadId: "t" }, { signal: aborting.signal });
    await list.next();
    aborting.abort();
    const rest = (async () => {
      for await (const _ of list);
    })();
    expect(await errorOf(rest)).toBeInstanceOf(Cancelled);
  });
});
