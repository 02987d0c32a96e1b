/**
 * What is stored is what LangGraph for Python stores. LangGraph.js has another form for three things: it keeps what a join
 * has seen in an array, where Python has a set; it stores each interrupt of a task as a write of its own, where Python
 * stores one list of them; and it stores what a task failed with as an object, where Python stores the error.
 */
import { WRITES_IDX_MAP, type PendingWrite } from "@langchain/langgraph-checkpoint";

import { Interrupt } from "../portable/index.js";
import { isPlain } from "../portable/objects.js";

const JOIN = "join:";
const INTERRUPT = "__interrupt__";
const ERROR = "__error__";

/** A write of a task, with its place there. */
export interface PlacedWrite {
  idx: number;
  channel: string;
  value: unknown;
}

/** A channel's value as it is stored. */
export function storedValue(channel: string, value: unknown): unknown {
  if (!channel.startsWith(JOIN) || !Array.isArray(value)) return value;
  const [seen, finished] = value as unknown[];
  const isDeferred = value.length === 2 && Array.isArray(seen) && typeof finished === "boolean";
  return isDeferred ? [new Set(seen as unknown[]), finished] : new Set(value);
}

/** The reverse of `storedValue`. */
export function ownValue(channel: string, value: unknown): unknown {
  if (!channel.startsWith(JOIN)) return value;
  if (value instanceof Set) return [...(value as Set<unknown>)];
  if (Array.isArray(value) && value[0] instanceof Set)
    return [[...(value[0] as Set<unknown>)], ...(value.slice(1) as unknown[])];
  return value;
}

/** What a task wrote, as it is stored. */
export function storedWrites(writes: readonly PendingWrite[]): PlacedWrite[] {
  const placed = writes.map(([channel, value], place) => ({
    idx: Object.hasOwn(WRITES_IDX_MAP, channel) ? (WRITES_IDX_MAP[channel] as number) : place,
    channel,
    value: channel === ERROR ? storedError(value) : value,
  }));
  const others = placed.filter(({ channel }) => channel !== INTERRUPT);
  const interrupts = placed.filter(({ channel }) => channel === INTERRUPT);
  const [first] = interrupts;
  if (first === undefined) return others;
  const value = interrupts.flatMap((one) => one.value).map(storedInterrupt);
  return [...others, { ...first, value }];
}

/** The values of a stored write, each of which is a pending write in LangGraph.js. */
export function ownWrites(channel: string, value: unknown): unknown[] {
  if (channel === INTERRUPT) return [value].flat().map((one) => (one instanceof Interrupt ? { ...one } : one));
  return [channel === ERROR && value instanceof Error ? { message: value.message, name: value.name } : value];
}

function storedInterrupt(one: unknown): unknown {
  if (!isPlain(one) || !Object.hasOwn(one, "value")) return one;
  const { id = "", value, response_schema: schema, ...more } = one;
  if (typeof id !== "string" || Object.keys(more).length > 0) return one;
  if (schema !== undefined && !isPlain(schema)) return one;
  return new Interrupt(id, value, schema);
}

function storedError(value: unknown): unknown {
  const { message, name, ...more } = isPlain(value) ? value : {};
  if (typeof message !== "string" || typeof name !== "string" || Object.keys(more).length > 0) return value;
  return Object.assign(new Error(message), { name });
}
