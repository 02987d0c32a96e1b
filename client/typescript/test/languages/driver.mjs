// LangGraph.js for the tests of `tests/languages`: one command a line on standard input, one answer a line on standard output.
import { createInterface } from "node:readline";

import { Command } from "@langchain/langgraph";

import { RemoteSaver } from "../../dist/index.js";
import { compiled } from "./graphs.mjs";

const [address, tenant] = process.argv.slice(2);

const configOf = (thread, checkpoint) => ({
  configurable: { thread_id: thread, ...(checkpoint ? { checkpoint_id: checkpoint } : {}) },
});

const messageOf = (message) => [
  message.getType(),
  message.content,
  (message.tool_calls ?? []).map((call) => [call.name, call.args]),
];

// The channels that a task writes before it has finished.
const UNFINISHED = ["__interrupt__", "__resume__", "__error__"];

async function seen(graph, thread, ran) {
  const state = await graph.getState(configOf(thread));
  const { pendingWrites = [] } = (await graph.checkpointer.getTuple(configOf(thread))) ?? {};
  // LangGraph.js goes on showing the interrupts of a task that was answered and has finished.
  const finished = new Set(pendingWrites.filter(([, channel]) => !UNFINISHED.includes(channel)).map(([task]) => task));
  const waiting = state.tasks.filter(({ id }) => !finished.has(id));
  return {
    log: state.values.log ?? [],
    messages: (state.values.messages ?? []).map(messageOf),
    next: state.next,
    interrupts: Object.fromEntries(waiting.flatMap((task) => task.interrupts.map(({ id, value }) => [id, value]))),
    ran: ran.sort(),
  };
}

const actions = {
  async invoke(graph, { thread, given, checkpoint }, ran) {
    await graph.invoke(given, configOf(thread, checkpoint));
    return seen(graph, thread, ran);
  },
  async resume(graph, { thread, given }, ran) {
    await graph.invoke(new Command({ resume: given }), configOf(thread));
    return seen(graph, thread, ran);
  },
  async update(graph, { thread, given, as_node: asNode }, ran) {
    await graph.updateState(configOf(thread), given, asNode);
    return seen(graph, thread, ran);
  },
  async look(graph, { thread }, ran) {
    return seen(graph, thread, ran);
  },
  async history(graph, { thread }) {
    const states = [];
    for await (const state of graph.getStateHistory(configOf(thread)))
      states.push([state.config.configurable.checkpoint_id, state.next]);
    return states;
  },
};

for await (const line of createInterface({ input: process.stdin })) {
  const command = JSON.parse(line);
  // A saver of its own for each command, as in a process of its own: nothing is remembered.
  const saver = new RemoteSaver(address, { tenant });
  const ran = [];
  let answer;
  try {
    answer = { done: await actions[command.do](compiled(command.graph, saver, ran), command, ran) };
  } catch (error) {
    answer = { error: `${error.name}: ${error.message}` };
  } finally {
    await saver.end();
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
