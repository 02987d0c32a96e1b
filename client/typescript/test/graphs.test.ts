/** Graphs of LangGraph.js do with a RemoteSaver, made anew for each call, what they do with LangGraph.js's MemorySaver. */
import { randomUUID } from "node:crypto";

import { AIMessage, HumanMessage, type BaseMessage } from "@langchain/core/messages";
import {
  Annotation,
  Command,
  DeltaChannel,
  entrypoint,
  interrupt,
  MemorySaver,
  START,
  StateGraph,
  task,
  type StateSnapshot,
} from "@langchain/langgraph";
import type { BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";
import { inject } from "vitest";

import { RemoteSaver, type RemoteSaverOptions } from "../src/index.js";
import { compiled } from "./languages/graphs.mjs";

const HI = { log: ["hi"] };
const CONFIG = { configurable: { thread_id: "t" } };

/** Gives the saver for one call, and takes it back. */
type Using = <Result>(act: (saver: BaseCheckpointSaver) => Promise<Result>) => Promise<Result>;

function inMemory(): Using {
  const saver = new MemorySaver();
  return (act) => act(saver);
}

function remote(options: RemoteSaverOptions = {}): Using {
  const tenant = randomUUID();
  return async (act) => {
    const saver = new RemoteSaver(inject("address"), { tenant, ...options });
    try {
      return await act(saver);
    } finally {
      await saver.end();
    }
  };
}

const messageOf = (message: BaseMessage) => [
  message.getType(),
  message.content,
  message instanceof AIMessage ? message.tool_calls : [],
];

/** What a program sees of a thread; not the ids, which hold the time and the thread's place in it. */
function seen({ values, next, tasks, metadata }: StateSnapshot): unknown {
  const { log, messages = [] } = values as { log?: string[]; messages?: BaseMessage[] };
  const asked = tasks.map(({ name, interrupts }) => [name, interrupts.map(({ value }) => value as unknown)]);
  return { log, messages: messages.map(messageOf), next, asked, source: metadata?.source, step: metadata?.step };
}

/** A thread, by what is done on it. Of each step it notes what the nodes did and what is seen then. */
class Story {
  readonly told: unknown[] = [];

  constructor(
    private readonly using: Using,
    private readonly graph: string,
  ) {}

  async run(input: unknown, config: object = CONFIG): Promise<StateSnapshot> {
    return this.step((graph) => graph.invoke(input, config));
  }

  async resume(resume: unknown): Promise<StateSnapshot> {
    return this.run(new Command({ resume }));
  }

  async update(values: Record<string, unknown>, asNode: string, config: object = CONFIG): Promise<StateSnapshot> {
    return this.step((graph) => graph.updateState(config, values, asNode));
  }

  async history(): Promise<StateSnapshot[]> {
    return this.using(async (saver) => {
      const states: StateSnapshot[] = [];
      for await (const state of compiled(this.graph, saver, []).getStateHistory(CONFIG))
        states.push(state as StateSnapshot);
      this.told.push(states.map(seen));
      return states;
    });
  }

  private async step(act: (graph: ReturnType<typeof compiled>) => Promise<unknown>): Promise<StateSnapshot> {
    return this.using(async (saver) => {
      const ran: string[] = [];
      const graph = compiled(this.graph, saver, ran);
      await act(graph);
      const state = (await graph.getState(CONFIG)) as StateSnapshot;
      this.told.push([ran.sort(), seen(state)]);
      return state;
    });
  }
}

const idOf = (state: StateSnapshot, question: string): string =>
  state.tasks.flatMap(({ interrupts }) => interrupts).find(({ value }) => value === question)?.id ?? "";

const stories: Record<string, [graph: string, tell: (story: Story) => Promise<unknown>]> = {
  "two questions of one node": [
    "questions",
    async (story) => {
      await story.run(HI);
      await story.resume("a");
      await story.resume("b");
      await story.history();
    },
  ],
  "questions answered by their ids": [
    "choices",
    async (story) => {
      const begun = await story.run(HI);
      const answered = await story.resume({ [idOf(begun, "right?")]: "r" });
      await story.resume({ [idOf(answered, "left?")]: "l" });
    },
  ],
  "tasks that were sent": [
    "sends",
    async (story) => {
      await story.run(HI);
      await story.resume("yes");
      await story.history();
    },
  ],
  "a graph in a graph": [
    "nested",
    async (story) => {
      await story.run(HI);
      await story.resume("a");
      await story.resume("b");
    },
  ],
  "a join that waits": [
    "barrier",
    async (story) => {
      await story.run(HI);
      await story.resume("a");
      await story.history();
    },
  ],
  "a fork of the past": [
    "steps",
    async (story) => {
      await story.run(HI);
      const second = (await story.history()).find(({ next }) => next[0] === "two");
      await story.run(null, second?.config);
      await story.update({ log: ["edited"] }, "one", second?.config);
      await story.run(null);
      await story.history();
    },
  ],
  "an update between two turns": [
    "chat",
    async (story) => {
      await story.run({ messages: [new HumanMessage({ content: "tea", id: "1" })] });
      await story.update({ messages: [new AIMessage({ content: "never mind", id: "2" })] }, "agent");
      await story.run({ messages: [new HumanMessage({ content: "milk", id: "3" })] });
      await story.run(null);
    },
  ],
};

const serdes: [string, RemoteSaverOptions][] = [
  ["portable-json/1", {}],
  ["LangGraph.js's own serialiser", { serde: new MemorySaver().serde }],
];

describe.each(serdes)("with %s", (_, options) => {
  test.each(Object.entries(stories))("%s", async (_, [graph, tell]) => {
    const [expected, told] = [new Story(inMemory(), graph), new Story(remote(options), graph)];
    await tell(expected);
    await tell(told);
    expect(told.told).toEqual(expected.told);
    expect(told.told.length).toBeGreaterThan(1);
  });
});

test("values are what they were, also those that JSON does not have", async () => {
  const State = Annotation.Root({ kept: Annotation<Record<string, unknown>>(), count: Annotation<bigint>() });
  const kept = {
    date: new Date("2026-01-02T03:04:05.678Z"),
    set: new Set([1, "a"]),
    map: new Map<unknown, unknown>([[1, { deep: [new Uint8Array([0, 255])] }]]),
    regex: /a+/gi,
    none: Number.NaN,
    zero: -0,
    escaped: { $: "x", lc: 1, type: "constructor", id: ["langchain", "nothing"] },
  };
  const using = remote();
  const build = (saver: BaseCheckpointSaver) =>
    new StateGraph(State)
      .addNode("add", ({ count }) => ({ count: (count ?? 0n) + 2n ** 64n }))
      .addEdge(START, "add")
      .compile({ checkpointer: saver });
  await using((saver) => build(saver).invoke({ kept, count: 1n }, CONFIG));
  const { values } = await using((saver) => build(saver).getState(CONFIG));
  expect(values).toEqual({ kept, count: 1n + 2n ** 64n });
});

test("tasks of the functional API that finished do not run again", async () => {
  const ran: string[] = [];
  const work = task("work", async (item: number) => {
    ran.push(`work${item}`);
    return item * 2;
  });
  const build = (saver: BaseCheckpointSaver) =>
    entrypoint({ name: "flow", checkpointer: saver }, async (items: number[]) => {
      const doubled = await Promise.all(items.map((item) => work(item)));
      return `${String(interrupt("go on?"))} ${doubled.join(",")}`;
    });
  const using = remote();
  await using((saver) => build(saver).invoke([1, 2], CONFIG));
  const answer = await using((saver) => build(saver).invoke(new Command({ resume: "yes" }) as never, CONFIG));
  expect([answer, ran]).toEqual(["yes 2,4", ["work1", "work2"]]);
});

test.each(["sync", "exit"] as const)(
  "a delta channel is rebuilt from what was written, with durability %s",
  async (durability) => {
    const build = (saver: BaseCheckpointSaver) =>
      new StateGraph<{ log: string[] }>({
        channels: {
          log: new DeltaChannel<string[], string[]>((left, writes) => left.concat(...writes), {
            snapshotFrequency: 3,
            initialValueFactory: () => [],
          }),
        } as never,
      })
        .addNode("a", () => ({ log: ["a"] }))
        .addNode("b", () => ({ log: ["b"] }))
        .addNode("c", () => ({ log: ["c"] }))
        .addEdge(START, "a")
        .addEdge(START, "b")
        .addEdge(["a", "b"], "c")
        .compile({ checkpointer: saver });
    const tell = async (using: Using) => {
      for (let turn = 0; turn < 5; turn += 1) {
        await using((saver) => build(saver).invoke({ log: [String(turn)] }, { ...CONFIG, durability }));
      }
      return using(async (saver) => ((await build(saver).getState(CONFIG)).values as { log: string[] }).log);
    };
    const log = await tell(remote());
    // Which of the siblings a and b comes first, their ids say, which are made of the time.
    const sorted = (texts: string[]) => texts.join("").replaceAll("ba", "ab");
    expect(sorted(log)).toEqual(sorted(await tell(inMemory())));
    expect(sorted(log)).toBe("0abc1abc2abc3abc4abc");
  },
);

test("a node that fails leaves what its sibling did, and the next run goes on from there", async () => {
  const ran: string[] = [];
  let fails = true;
  const State = Annotation.Root({
    log: Annotation<string[]>({ reducer: (left, right) => left.concat(right), default: () => [] }),
  });
  const build = (saver: BaseCheckpointSaver) =>
    new StateGraph(State)
      .addNode("good", () => {
        ran.push("good");
        return { log: ["good"] };
      })
      .addNode("bad", () => {
        ran.push("bad");
        if (fails) throw new TypeError("boom");
        return { log: ["bad"] };
      })
      .addEdge(START, "good")
      .addEdge(START, "bad")
      .compile({ checkpointer: saver });
  const using = remote();
  await expect(using((saver) => build(saver).invoke(HI, CONFIG))).rejects.toThrow("boom");
  const { tasks } = await using((saver) => build(saver).getState(CONFIG));
  expect(tasks.find(({ name }) => name === "bad")?.error).toMatchObject({ name: "TypeError", message: "boom" });
  fails = false;
  const { log } = await using((saver) => build(saver).invoke(null, CONFIG));
  expect([[...log].sort(), ran.sort()]).toEqual([
    ["bad", "good", "hi"],
    ["bad", "bad", "good"],
  ]);
});
