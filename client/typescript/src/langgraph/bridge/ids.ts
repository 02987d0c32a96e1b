/** The ids of tasks and interrupts, as LangGraph for Python and as LangGraph.js make them. */
import { uuid5 } from "@langchain/langgraph-checkpoint";
import { xxhash128 } from "hash-wasm";

export const PULL = "__pregel_pull";
export const PUSH = "__pregel_push";
export const LEVEL = "|";

/** The namespace one level below. */
export const below = (checkpointNs: string, part: string): string =>
  checkpointNs === "" ? part : `${checkpointNs}${LEVEL}${part}`;

/** The namespace one level above; "" for that of the root graph. */
export const parentNs = (checkpointNs: string): string =>
  checkpointNs.slice(0, Math.max(checkpointNs.lastIndexOf(LEVEL), 0));

/** The last part of a namespace. */
export const lastPart = (checkpointNs: string): string => checkpointNs.slice(checkpointNs.lastIndexOf(LEVEL) + 1);

/** The namespace of the graph that a task calls. */
export const taskNs = (checkpointNs: string, name: string, taskId: string): string =>
  below(checkpointNs, `${name}:${taskId}`);

/** LangGraph for Python's id of a task: XXH3-128 over its parts. */
export async function pythonTaskId(
  checkpointId: string,
  checkpointNs: string,
  step: number,
  name: string,
  ...parts: string[]
): Promise<string> {
  const bytes = Buffer.concat([
    Buffer.from(checkpointId.replaceAll("-", ""), "hex"),
    Buffer.from([below(checkpointNs, name), String(step), name, ...parts].join("")),
  ]);
  const hex = await xxhash128(bytes);
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join("-");
}

/** LangGraph.js's id of a task: a UUID of version 5 over its parts as JSON. */
export const jsTaskId = (
  checkpointId: string,
  checkpointNs: string,
  step: number,
  name: string,
  kind: string,
  last: string | string[],
): string => uuid5(JSON.stringify([below(checkpointNs, name), String(step), name, kind, last]), checkpointId);

/** LangGraph.js's id of every interrupt of a task, and Python's of its first one; Python takes that one for all. */
export const interruptId = (ofTaskNs: string): Promise<string> => xxhash128(ofTaskNs);

/** A namespace without the numbers at its end, which count the calls that one task makes. */
export function ofCall(checkpointNs: string): string {
  let called = checkpointNs;
  while (/^\d+$/.test(lastPart(called))) called = parentNs(called);
  return called;
}
