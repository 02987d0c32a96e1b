/** RemoteSaver: what is stored, what is read of what others stored, and what it refuses. */
import { create } from "@bufbuild/protobuf";
import {
  emptyCheckpoint,
  MemorySaver,
  uuid6,
  type BaseCheckpointSaver,
  type Checkpoint,
  type CheckpointMetadata,
} from "@langchain/langgraph-checkpoint";
import { inject } from "vitest";

import { WriteSchema, type CheckpointTuple, type Value } from "../src/client.js";
import {
  ClientClosed,
  InvalidRequest,
  OpaqueValue,
  PORTABLE_JSON,
  RemoteSaver,
  Tagged,
  UnreadableValue,
} from "../src/index.js";
import { nextVersion } from "../src/langgraph/versions.js";
import { errorOf, newSaver } from "./support/clients.js";

const METADATA: CheckpointMetadata = { source: "loop", step: 0, parents: {} };
const CONFIG = { configurable: { thread_id: "t", checkpoint_ns: "" } };

/** A checkpoint whose channels all have a version. */
function checkpointOf(values: Record<string, unknown>): [Checkpoint, Record<string, string>] {
  const versions = Object.fromEntries(Object.keys(values).map((channel) => [channel, nextVersion(undefined)]));
  return [
    { ...emptyCheckpoint(), id: uuid6(0), channel_values: values, channel_versions: versions as never },
    versions,
  ];
}

async function put(saver: RemoteSaver, values: Record<string, unknown>, metadata = METADATA, config: object = CONFIG) {
  const [checkpoint, versions] = checkpointOf(values);
  return saver.put(config, checkpoint, metadata, versions as never);
}

const storedOf = async (saver: RemoteSaver): Promise<CheckpointTuple> =>
  (await saver.client.checkpoints.getCheckpoint({ threadId: "t" })).checkpointTuple as CheckpointTuple;

const textOf = (value: Value | undefined) =>
  value === undefined ? undefined : [value.encoding, Buffer.from(value.data).toString()];

/** Stores a checkpoint as another client would. */
async function putRaw(
  saver: RemoteSaver,
  channelValues: Record<string, { encoding: string; data: Uint8Array }>,
  json = "{}",
) {
  const channelVersions = Object.fromEntries(Object.keys(channelValues).map((channel) => [channel, "1"]));
  const checkpoint = { id: uuid6(0), v: 4, channelValues, channelVersions };
  await saver.client.checkpoints.putCheckpoint({ threadId: "t", put: { checkpoint, metadata: { json } } });
  return { configurable: { ...CONFIG.configurable, checkpoint_id: checkpoint.id } };
}

const portable = (text: string) => ({ encoding: PORTABLE_JSON, data: Buffer.from(text) });

describe("what is stored", () => {
  test("is as LangGraph for Python stores it", async () => {
    const saver = newSaver();
    const config = await put(saver, {
      "join:a+b:c": ["a"],
      "join:d+e:f": [["d"], false],
      log: ["x"],
      empty: undefined,
      none: null,
    });
    await saver.putWrites(
      config,
      [
        ["log", ["y"]],
        ["__interrupt__", { id: "1", value: "first?" }],
        ["__interrupt__", { id: "2", value: "second?" }],
        ["__resume__", ["answer"]],
        ["log", ["z"]],
      ],
      "task",
    );
    const { checkpoint, pendingWrites, metadata } = await storedOf(saver);
    const values = Object.fromEntries(
      Object.entries(checkpoint?.channelValues ?? {}).map(([name, value]) => [name, textOf(value)]),
    );
    expect(values).toEqual({
      "join:a+b:c": [PORTABLE_JSON, '{"$":"set","v":["a"]}'],
      "join:d+e:f": [PORTABLE_JSON, '[{"$":"set","v":["d"]},false]'],
      log: [PORTABLE_JSON, '["x"]'],
      none: ["null", ""],
    });
    expect(pendingWrites.map(({ write }) => [write?.idx, write?.channel, textOf(write?.value)?.[1]])).toEqual([
      [-4, "__resume__", '["answer"]'],
      [
        -3,
        "__interrupt__",
        '[{"$":"interrupt","v":{"value":"first?","id":"1"}},{"$":"interrupt","v":{"value":"second?","id":"2"}}]',
      ],
      [0, "log", '["y"]'],
      [4, "log", '["z"]'],
    ]);
    expect([metadata?.json, metadata?.native]).toEqual([JSON.stringify(METADATA), undefined]);

    const found = await saver.getTuple(config);
    expect(found?.checkpoint.channel_values).toEqual({
      "join:a+b:c": ["a"],
      "join:d+e:f": [["d"], false],
      log: ["x"],
      none: null,
    });
    expect(found?.pendingWrites).toEqual([
      ["task", "__resume__", ["answer"]],
      ["task", "__interrupt__", { id: "1", value: "first?" }],
      ["task", "__interrupt__", { id: "2", value: "second?" }],
      ["task", "log", ["y"]],
      ["task", "log", ["z"]],
    ]);
  });

  test("has the versions of Python's LangGraph, which sort as text, and follow on numbers too", () => {
    const saver: BaseCheckpointSaver = newSaver(); // as LangGraph.js takes it
    const first = saver.getNextVersion(undefined) as unknown as string;
    expect(first).toMatch(/^0{31}1\.0\.\d+$/);
    expect(String(saver.getNextVersion(first as never)).slice(0, 33)).toBe(`${"2".padStart(32, "0")}.`);
    expect(String(saver.getNextVersion(9)).slice(0, 33)).toBe(`${"10".padStart(32, "0")}.`);
    expect(saver.getNextVersion(1)).not.toBe(saver.getNextVersion(1));
  });

  test("has numbers as versions where another saver made them", async () => {
    const saver = newSaver();
    const checkpoint = {
      ...emptyCheckpoint(),
      channel_values: { a: 1 },
      channel_versions: { a: 3, b: "#x" as never },
      versions_seen: { n: { a: 1.5 } },
    };
    const config = await saver.put(CONFIG, checkpoint, METADATA, { a: 3 });
    expect((await storedOf(saver)).checkpoint?.channelVersions).toEqual({ a: "#3", b: "##x" });
    const found = await saver.getTuple(config);
    expect([found?.checkpoint.channel_versions, found?.checkpoint.versions_seen]).toEqual([
      checkpoint.channel_versions,
      checkpoint.versions_seen,
    ]);
  });

  test("keeps metadata that JSON can't hold, and lets others see what it can", async () => {
    const saver = newSaver();
    const metadata = {
      ...METADATA,
      when: new Date(0),
      count: 5n,
      nul: "a\0b",
      half: "\ud800",
      fine: { deep: [1, true, null] },
    };
    const config = await put(saver, {}, metadata);
    const { json = "" } = (await storedOf(saver)).metadata ?? {};
    expect(JSON.parse(json)).toEqual({ ...METADATA, nul: "ab", half: "\ufffd", fine: metadata.fine });
    expect((await saver.getTuple(config))?.metadata).toEqual({ ...metadata, half: "\ud800" });
  });

  test("is LangGraph.js's own encoding with its own serialiser", async () => {
    const saver = newSaver({ serde: new MemorySaver().serde });
    const config = await put(saver, { log: ["x"], "join:a+b:c": ["a"] });
    expect(textOf((await storedOf(saver)).checkpoint?.channelValues["log"])).toEqual(["json", '["x"]']);
    expect((await saver.getTuple(config))?.checkpoint.channel_values).toEqual({ log: ["x"], "join:a+b:c": ["a"] });
  });

  test("is not the config's other members", async () => {
    const saver = newSaver();
    const config = await put(saver, {}, METADATA, { configurable: { ...CONFIG.configurable, user: "me" } });
    expect(Object.keys(config.configurable ?? {}).sort()).toEqual(["checkpoint_id", "checkpoint_ns", "thread_id"]);
  });

  test("is an error as the error that it was", async () => {
    const saver = newSaver();
    const config = await put(saver, {});
    const failure = { message: "boom", name: "TypeError" };
    await saver.putWrites(config, [["__error__", failure]], "task");
    expect(textOf((await storedOf(saver)).pendingWrites[0]?.write?.value)?.[1]).toBe(
      '{"$":"error","v":{"name":"TypeError","message":"boom"}}',
    );
    expect((await saver.getTuple(config))?.pendingWrites).toEqual([["task", "__error__", failure]]);
  });

  test("under names that every object has is found again", async () => {
    const saver = newSaver();
    const config = await put(saver, { constructor: 1, toString: [2] });
    await saver.putWrites(
      config,
      [
        ["toString", 3],
        ["constructor", 4],
      ],
      "valueOf",
    );
    const found = await saver.getTuple(config);
    expect(found?.checkpoint.channel_values).toEqual({ constructor: 1, toString: [2] });
    expect(found?.pendingWrites).toEqual([
      ["valueOf", "toString", 3],
      ["valueOf", "constructor", 4],
    ]);
    const { constructor: history, hasOwnProperty: none } = await saver.getDeltaChannelHistory({
      config,
      channels: ["constructor", "hasOwnProperty"],
    });
    expect([history, none]).toEqual([{ writes: [] }, { writes: [] }]);
  });

  test("is written once, also when it is sent twice", async () => {
    const saver = newSaver();
    const config = await put(saver, { log: ["x"] });
    await saver.putWrites(config, [["log", "first"]], "task");
    await saver.putWrites(config, [["log", "second"]], "task");
    await saver.putWrites(config, [["__error__", "first"]], "task");
    await saver.putWrites(config, [["__error__", "second"]], "task");
    expect((await saver.getTuple(config))?.pendingWrites).toEqual([
      ["task", "__error__", "second"],
      ["task", "log", "first"],
    ]);
  });
});

describe("what others stored", () => {
  test("in an encoding that is not read here is carried along unchanged", async () => {
    const saver = newSaver();
    const data = new Uint8Array([0x93, 1, 2, 3]);
    const config = await putRaw(saver, { theirs: { encoding: "msgpack", data }, known: portable("1") });
    const found = await saver.getTuple(config);
    const value = found?.checkpoint.channel_values["theirs"];
    expect(value).toEqual(new OpaqueValue("msgpack", data));
    await put(saver, { theirs: value }, METADATA, config);
    expect((await storedOf(saver)).checkpoint?.channelValues["theirs"]).toMatchObject({ encoding: "msgpack", data });
  });

  test("with a tag that is not known here is carried along unchanged, wherever it is", async () => {
    const saver = newSaver();
    const opaque = '{"$":"opaque","lang":"python","enc":"msgpack","type":"shop:Order","v":"kwECAw==","view":{"id":7}}';
    const config = await putRaw(saver, {
      state: portable(`{"order":${opaque},"later":[{"$":"from-2030","v":[1.0]}],"n":1}`),
    });
    const { order, later } = (await saver.getTuple(config))?.checkpoint.channel_values["state"] as {
      order: Tagged;
      later: Tagged[];
    };
    expect([order, later[0]]).toEqual([expect.any(Tagged), expect.any(Tagged)]);
    expect(order.view).toEqual({ id: 7 });
    await put(saver, { state: { order, later, n: 2 } });
    expect(textOf((await storedOf(saver)).checkpoint?.channelValues["state"])?.[1]).toBe(
      `{"order":${opaque},"later":[{"$":"from-2030","v":[1.0]}],"n":2}`,
    );
  });

  test("as metadata in an encoding that is not read here is what its JSON says", async () => {
    const saver = newSaver();
    const metadata = {
      json: '{"source":"loop","step":3}',
      native: { encoding: "msgpack", data: new Uint8Array([0x80]) },
    };
    await saver.client.checkpoints.putCheckpoint({ threadId: "t", put: { checkpoint: { id: "1" }, metadata } });
    expect((await saver.getTuple(CONFIG))?.metadata).toEqual({ source: "loop", step: 3 });
  });

  test.each([
    ["is cut off", portable('["a'), '"bad"'],
    ["has a key twice", portable('{"a":1,"a":2}'), '"bad"'],
    ["is deeper than allowed", portable("[".repeat(1000) + "]".repeat(1000)), '"bad"'],
    ["is no UTF-8", { encoding: PORTABLE_JSON, data: new Uint8Array([0x22, 0xff, 0x22]) }, '"bad"'],
    ["is not LangGraph.js's JSON", { encoding: "json", data: Buffer.from("{") }, '"bad"'],
  ])("and %s is an error that names the channel", async (_, value, name) => {
    const saver = newSaver();
    const unreadable = await errorOf(saver.getTuple(await putRaw(saver, { bad: value })));
    expect(unreadable).toBeInstanceOf(UnreadableValue);
    expect((unreadable as UnreadableValue).message).toContain(`the value of ${name}`);
    const listing = saver.list(CONFIG);
    expect(await errorOf(listing.next())).toBeInstanceOf(UnreadableValue);
  });

  test("and looks like LangChain's constructors is plain data", async () => {
    const saver = newSaver();
    const text =
      '{"lc":1,"type":"constructor","id":["langchain_core","messages","HumanMessage"],"kwargs":{"content":"x"}}';
    const config = await putRaw(saver, { data: portable(text) });
    expect((await saver.getTuple(config))?.checkpoint.channel_values["data"]).toEqual(JSON.parse(text));
  });

  test("under names that mean something to JavaScript changes no object", async () => {
    const saver = newSaver();
    const text = '{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}}}';
    const config = await putRaw(
      saver,
      { __proto__x: portable("1"), ["__proto__"]: portable(text), data: portable(text) },
      text,
    );
    await saver.client.checkpoints.putWrites({
      threadId: "t",
      put: {
        checkpointId: config.configurable.checkpoint_id,
        taskId: "__proto__",
        writes: [create(WriteSchema, { channel: "__proto__", value: portable(text) as never })],
      },
    });
    const found = await saver.getTuple(config);
    const data = found?.checkpoint.channel_values["data"] as Record<string, unknown>;
    expect(Object.getOwnPropertyNames(data)).toEqual(["__proto__", "constructor"]);
    expect(Object.getPrototypeOf(data)).toBe(Object.prototype);
    expect(found?.pendingWrites?.[0]?.slice(0, 2)).toEqual(["__proto__", "__proto__"]);
    expect(({} as Record<string, unknown>)["polluted"]).toBeUndefined();
  });
});

describe("what is refused", () => {
  const cyclic: unknown[] = [];
  cyclic.push(cyclic);

  test.each<[string, unknown]>([
    ["a function", () => 1],
    ["a symbol", { deep: [Symbol("x")] }],
    ["a value that contains itself", cyclic],
    ["a promise", Promise.resolve(1)],
    ["a date that is none", new Date(Number.NaN)],
  ])("%s, by the channel's name, and nothing is stored", async (_, value) => {
    const saver = newSaver();
    for (const refused of [
      await errorOf(put(saver, { bad: value })),
      await errorOf(
        saver.putWrites({ configurable: { ...CONFIG.configurable, checkpoint_id: "1" } }, [["bad", value]], "task"),
      ),
    ]) {
      expect(refused).toBeInstanceOf(InvalidRequest);
      expect((refused as InvalidRequest).message).toContain('channel "bad" can\'t be stored');
    }
    expect(await saver.getTuple(CONFIG)).toBeUndefined();
  });

  test("a config without a thread, or without a checkpoint where one is needed", async () => {
    const saver = newSaver();
    const [checkpoint] = checkpointOf({});
    for (const config of [{}, { configurable: {} }, { configurable: { thread_id: "" } }]) {
      expect(await errorOf(saver.put(config, checkpoint, METADATA, {}))).toMatchObject({
        name: "InvalidRequest",
        metadata: { field: "thread_id" },
      });
      expect(await saver.getTuple(config)).toBeUndefined();
    }
    expect(await errorOf(saver.putWrites(CONFIG, [], "task"))).toMatchObject({
      name: "InvalidRequest",
      metadata: { field: "checkpoint_id" },
    });
  });

  test.each([
    ["limit", { limit: 1.5 }],
    ["limit", { limit: -1 }],
    ["filter", { filter: { count: 5n } }],
    ["filter", { filter: { count: Number.NaN } }],
  ])("a list's %s that is none: %o", async (field, options) => {
    expect(await errorOf(newSaver().list(CONFIG, options).next())).toMatchObject({
      name: "InvalidRequest",
      metadata: { field },
    });
  });

  test("an id that is too long, by the server", async () => {
    expect(
      await errorOf(put(newSaver(), {}, METADATA, { configurable: { thread_id: "x".repeat(300) } })),
    ).toMatchObject({ name: "InvalidRequest", metadata: { field: "thread_id" } });
  });

  test("everything, once it has ended", async () => {
    const saver = newSaver();
    await saver.end();
    await saver.end();
    expect(await errorOf(saver.getTuple(CONFIG))).toBeInstanceOf(ClientClosed);
  });
});

describe("a list", () => {
  test("is filtered by metadata, a key that is absent among it, and goes on before a checkpoint", async () => {
    const saver = newSaver();
    const configs = [];
    for (const step of [0, 1, 2])
      configs.push(await put(saver, {}, { ...METADATA, step, ...(step === 1 ? { run: "a" } : {}) }));
    const steps = async (options: object) => {
      const found: unknown[] = [];
      for await (const { metadata } of saver.list(CONFIG, options)) found.push(metadata?.step);
      return found;
    };
    expect(await steps({})).toEqual([2, 1, 0]);
    expect(await steps({ filter: { run: "a" } })).toEqual([1]);
    expect(await steps({ filter: { run: undefined } })).toEqual([2, 0]);
    expect(await steps({ before: configs[2] })).toEqual([1, 0]);
    expect(await steps({ limit: 2 })).toEqual([2, 1]);
    expect(await steps({ limit: 0 })).toEqual([]);
  });

  test("of all threads can be of one namespace", async () => {
    const saver = newSaver();
    for (const [thread, ns] of [
      ["t", ""],
      ["t", "sub"],
      ["u", "sub"],
    ]) {
      await put(saver, {}, METADATA, { configurable: { thread_id: thread, checkpoint_ns: ns } });
    }
    const found: unknown[] = [];
    for await (const { config } of saver.list({ configurable: { checkpoint_ns: "sub" } }, { limit: 5 }))
      found.push(config.configurable?.["thread_id"]);
    expect(found.sort()).toEqual(["t", "u"]);
    for await (const _ of saver.list({ configurable: { checkpoint_ns: "sub" } }, { limit: 1 })) found.push("one");
    expect(found).toHaveLength(3);
  });
});

test("a thread's id may be a number, and the older name of a checkpoint's id is taken", async () => {
  const saver = newSaver();
  const { configurable } = await put(saver, { log: ["x"] }, METADATA, { configurable: { thread_id: 5 } });
  const found = await saver.getTuple({ configurable: { thread_id: "5", thread_ts: configurable?.["checkpoint_id"] } });
  expect(found?.checkpoint.channel_values).toEqual({ log: ["x"] });
});

test("a deleted thread is gone, and deleting it again is no error", async () => {
  const saver = newSaver();
  await put(saver, {});
  await saver.deleteThread("t");
  await saver.deleteThread("t");
  expect(await saver.getTuple(CONFIG)).toBeUndefined();
});

test("writes may come before their checkpoint", async () => {
  const saver = newSaver();
  const [checkpoint] = checkpointOf({});
  const config = { configurable: { ...CONFIG.configurable, checkpoint_id: checkpoint.id } };
  await saver.putWrites(config, [["log", "early"]], "task");
  await saver.put(CONFIG, checkpoint, METADATA, {});
  expect((await saver.getTuple(config))?.pendingWrites).toEqual([["task", "log", "early"]]);
});

test("a saver in a config is not walked into", () => {
  expect(JSON.stringify({ saver: RemoteSaver.fromConnString(inject("address")) })).toBe('{"saver":"[RemoteSaver]"}');
});
