/** The tasks that a checkpoint leads to, by their names and places. */
import type { Checkpoint } from "@langchain/langgraph-checkpoint";

import { PULL, PUSH, jsTaskId } from "./ids.js";

const START = "__start__";
const SENDS = "__pregel_tasks";
const BRANCH = "branch:to:";
const JOIN = "join:";

/** A task that a checkpoint may lead to. */
export interface Task {
  name: string;
  /** As LangGraph for Python sends it with a task's writes. */
  path: string;
  /** LangGraph.js hashes one trigger: an id for each that it may be, the one that it looks at first in front. */
  jsIds: string[];
  /** All channels that are known to trigger the node; of a sent task, its place. */
  triggers: string[];
}

/** The tasks that a checkpoint may lead to, in its namespace as LangGraph.js names it. */
export function tasksOf(checkpoint: Checkpoint, step: number, jsNs: string): Task[] {
  const tasks: Task[] = [];
  const sends: unknown = checkpoint.channel_values[SENDS];
  (Array.isArray(sends) ? sends : []).forEach((send: unknown, place) => {
    const name = (send as { node?: unknown } | null)?.node;
    if (typeof name !== "string") return; // no Send: LangGraph passes over it too, and counts its place
    const triggers = [String(place)];
    tasks.push({
      name,
      path: `~${PUSH}, ${padded(place)}, ${padded(0)}`,
      jsIds: [jsTaskId(checkpoint.id, jsNs, step, name, PUSH, String(place))],
      triggers,
    });
  });
  for (const [name, channels] of triggersOf(checkpoint)) {
    // By name first: the order of the versions is not the same each time that a checkpoint is read.
    channels.sort();
    const first = [...channels].sort((left, right) => rank(checkpoint, name, left) - rank(checkpoint, name, right));
    tasks.push({
      name,
      path: `~${PULL}, ${name}`,
      jsIds: first.map((channel) => jsTaskId(checkpoint.id, jsNs, step, name, PULL, [channel])),
      triggers: channels,
    });
  }
  return tasks;
}

const padded = (place: number): string => String(place).padStart(10, "0");

/** Sorts a node's triggers as LangGraph.js looks at them: those it has not consumed, and an edge before a join. */
function rank(checkpoint: Checkpoint, node: string, channel: string): number {
  const consumed = checkpoint.versions_seen[node]?.[channel] === checkpoint.channel_versions[channel];
  const waits = channel.startsWith(JOIN) && !complete(channel, checkpoint.channel_values[channel]);
  return (consumed || waits ? 2 : 0) + (channel.startsWith(JOIN) ? 1 : 0);
}

/** Whether all that a join waits for have arrived. */
function complete(channel: string, value: unknown): boolean {
  const [names, finished] =
    Array.isArray(value) && Array.isArray(value[0]) ? (value as [unknown[], boolean]) : [value, true];
  const awaited = channel.slice(JOIN.length, channel.lastIndexOf(":")).split("+");
  return finished && Array.isArray(names) && awaited.every((name) => names.includes(name));
}

/** By node, the channels of a checkpoint that can trigger it. LangGraph's compiler makes their names. */
function triggersOf(checkpoint: Checkpoint): Map<string, string[]> {
  const found = new Map<string, string[]>();
  const add = (node: string, channel: string) => found.set(node, [...(found.get(node) ?? []), channel]);
  for (const channel of Object.keys(checkpoint.channel_versions)) {
    if (channel === START) add(START, channel);
    else if (channel.startsWith(BRANCH)) add(channel.slice(BRANCH.length), channel);
    else if (channel.startsWith(JOIN)) add(channel.slice(channel.lastIndexOf(":") + 1), channel);
  }
  return found;
}
