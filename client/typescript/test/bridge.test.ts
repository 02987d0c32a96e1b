/**
 * What a saver makes of tasks that LangGraph for Python worked on. Threads of both languages are in the repository's
 * tests/languages; here a thread of LangGraph.js gets writes as Python would have stored them.
 */
import { Annotation, Command, START, StateGraph, interrupt, type StateSnapshot } from "@langchain/langgraph";
import { emptyCheckpoint, uuid6, type Checkpoint } from "@langchain/langgraph-checkpoint";

import { RemoteSaver, UnknownTask } from "../src/index.js";
import { interruptId, jsTaskId, PULL, PUSH, pythonTaskId, taskNs } from "../src/langgraph/bridge/ids.js";
import { encode, Interrupt } from "../src/portable/index.js";
import { errorOf, newSaver } from "./support/clients.js";

const CONFIG = { configurable: { thread_id: "t", checkpoint_ns: "" } };

test("ids are those that each language makes", async () => {
  const id = "1f1e5358-ef03-6c37-bfff-ad6b53bdeb2e";
  expect(await pythonTaskId(id, "", 1, "ask", PULL, "branch:to:ask")).toBe("cdfade37-3af8-5345-3e61-0c5e417aabad");
  expect(await pythonTaskId(id, "a:1|b:2", 3, "nöde", PUSH, "0")).toBe("d31fc01c-cab6-eb9c-eb1a-f4e1ca74cd0d");
  expect(jsTaskId(id, "", 1, "ask", PULL, ["branch:to:ask"])).toBe("d56aae8a-7323-5a8e-9b4e-71d74cff4e1f");
  expect(jsTaskId(id, "a:1|b:2", 3, "nöde", PUSH, "0")).toBe("7dae08d5-ea19-54b8-93bc-b96ed8bd823e");
  expect(await interruptId("ask:1")).toBe("2b8f04a7b5b7fa959fe115f36fa47e1c");
});

const State = Annotation.Root({
  said: Annotation<string[]>({ reducer: (left, right) => left.concat(right), default: () => [] }),
});

/** A graph that is stopped before anything ran, so that Python can do what comes next. */
const build = (saver: RemoteSaver, ran: string[] = []) =>
  new StateGraph(State)
    .addNode("ask", () => {
      ran.push("ask");
      return { said: [String(interrupt("well?"))] };
    })
    .addNode("also", () => {
      ran.push("also");
      return { said: ["also"] };
    })
    .addEdge(START, "ask")
    .addEdge(START, "also")
    .compile({ checkpointer: saver, interruptBefore: ["ask", "also"] });

/** Stores what a task of Python's wrote at the head of the thread, and gives the task's id. */
async function pythonWrote(
  saver: RemoteSaver,
  node: string,
  path: string,
  ...writes: [idx: number, channel: string, value: unknown][]
): Promise<string> {
  const found = await saver.getTuple(CONFIG);
  const checkpointId = found?.checkpoint.id ?? "";
  const taskId = await pythonTaskId(
    checkpointId,
    "",
    (found?.metadata?.step ?? 0) + 1,
    node,
    PULL,
    `branch:to:${node}`,
  );
  const stored = writes.map(([idx, channel, value]) => ({
    idx,
    channel,
    value: { encoding: "portable-json/1", data: encode(value) },
  }));
  await saver.client.checkpoints.putWrites({
    threadId: "t",
    put: { checkpointId, taskId, taskPath: path, writes: stored },
  });
  return taskId;
}

const pull = (node: string) => `~${PULL}, ${node}`;

const seen = ({ next, tasks }: StateSnapshot) => [
  next,
  tasks.flatMap(({ interrupts }) => interrupts.map(({ value }) => value as unknown)),
];

test("a question is asked on, with an id of LangGraph.js's, and a finished sibling does not run again", async () => {
  const saver = newSaver();
  await build(saver).invoke({ said: [] }, CONFIG);
  await pythonWrote(saver, "also", pull("also"), [0, "said", ["also, in Python"]]);
  const asked = await pythonWrote(saver, "ask", pull("ask"));
  const pythonId = await interruptId(taskNs("", "ask", asked));
  await pythonWrote(saver, "ask", pull("ask"), [-3, "__interrupt__", [new Interrupt(pythonId, "well?")]]);

  const ran: string[] = [];
  const graph = build(saver, ran);
  const state = await graph.getState(CONFIG);
  expect(seen(state)).toEqual([["ask"], ["well?"]]);
  const [question] = state.tasks.flatMap(({ interrupts }) => interrupts);
  expect(question?.id).toBe(
    await interruptId(taskNs("", "ask", state.tasks.find(({ name }) => name === "ask")?.id ?? "")),
  );

  const { said } = await graph.invoke(new Command({ resume: { [question?.id ?? ""]: "yes" } }), CONFIG);
  expect([[...said].sort(), ran]).toEqual([["also, in Python", "yes"], ["ask"]]);
});

test("an answer of a task that is not known is not given to another question", async () => {
  const saver = newSaver();
  await build(saver).invoke({ said: [] }, CONFIG);
  await pythonWrote(saver, "else", pull("else"), [-4, "__resume__", ["an answer"]]);
  const refused = await errorOf(build(saver).getState(CONFIG));
  expect(refused).toBeInstanceOf(UnknownTask);
  expect(String(refused)).toContain("go on in the language that began it");
});

test("what a task that is not known wrote otherwise does no harm", async () => {
  const saver = newSaver();
  await build(saver).invoke({ said: [] }, CONFIG);
  await pythonWrote(saver, "call", `~${PUSH}, ('call', 0), flow`, [0, "__return__", 5]);
  expect(seen(await build(saver).getState(CONFIG))).toEqual([["ask", "also"], []]);
});

test("a task that another trigger began than was supposed does not store its writes", async () => {
  const saver = newSaver();
  const joins = ["join:a+b:ask", "join:c+d:ask"];
  const checkpoint: Checkpoint = {
    ...emptyCheckpoint(),
    id: uuid6(0),
    channel_values: { "join:a+b:ask": ["a", "b"], "join:c+d:ask": ["c", "d"] },
    channel_versions: { "join:a+b:ask": "1", "join:c+d:ask": "1" } as never,
  };
  const config = await saver.put(
    CONFIG,
    checkpoint,
    { source: "loop", step: 1, parents: {} },
    checkpoint.channel_versions,
  );
  await pythonWrote(saver, "ask", pull("ask"), [0, "said", ["in Python"]]);
  const ids = joins.map((join) => jsTaskId(checkpoint.id, "", 2, "ask", PULL, [join]));
  expect((await saver.getTuple(config))?.pendingWrites).toEqual([[ids[0], "said", ["in Python"]]]);

  await saver.putWrites(config, [["said", ["first"]]], ids[0] ?? "");
  expect(await errorOf(saver.putWrites(config, [["said", ["second"]]], ids[1] ?? ""))).toBeInstanceOf(UnknownTask);
});
