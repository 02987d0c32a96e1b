/** Values in the notation of the vectors of portable-json/1. */
import { BaseMessage, BaseMessageChunk } from "@langchain/core/messages";
import { Document } from "@langchain/core/documents";
import { isDeltaSnapshot } from "@langchain/langgraph-checkpoint";

import { Command, Interrupt, Overwrite, Send, Tagged } from "../../src/portable/index.js";

export type Notation = [string, ...unknown[]];

const MESSAGE_MEMBERS = [
  ...["content", "id", "name", "additional_kwargs", "response_metadata", "tool_calls", "invalid_tool_calls"],
  ...["usage_metadata", "tool_call_id", "status", "artifact", "role", "tool_call_chunks", "chunk_position", "example"],
];
const OWN = new Set([...MESSAGE_MEMBERS, "type"]);

export function notation(value: unknown): Notation {
  switch (typeof value) {
    case "undefined":
      return ["undefined"];
    case "boolean":
      return ["bool", value];
    case "string":
      return ["str", value];
    case "number":
      return ["number", Object.is(value, -0) ? "-0" : String(value)];
    case "bigint":
      return ["bigint", String(value)];
    case "object":
      return value === null ? ["null"] : ofObject(value);
    default:
      throw new TypeError(typeof value);
  }
}

function ofObject(value: object): Notation {
  if (Array.isArray(value)) return ["list", value.map(notation)];
  if (value instanceof Tagged) return ["tagged", value.tag];
  if (value instanceof Uint8Array) return ["bytes", Buffer.from(value).toString("hex")];
  if (value instanceof Date) return ["datetime", value.toISOString()];
  if (value instanceof Map) return ["map", Array.from(value, ([key, item]) => [notation(key), notation(item)])];
  if (value instanceof Set) {
    const members = Array.from(value, (member) => JSON.stringify(notation(member))).sort();
    return ["set", members.map((member) => JSON.parse(member) as Notation)];
  }
  if (value instanceof Error) return ["error", value.name, value.message];
  if (value instanceof RegExp) return ["regex", value.source, value.flags];
  if (BaseMessage.isInstance(value)) return ofMessage(value);
  if (value instanceof Document) {
    const members = { id: value.id, metadata: value.metadata as unknown, page_content: value.pageContent };
    return ["document", named(members)];
  }
  if (value instanceof Send) {
    const { runTimeout = null, idleTimeout = null, refreshOn } = value.timeout ?? {};
    return ["send", value.node, notation(value.args), ...(value.timeout ? [[runTimeout, idleTimeout, refreshOn]] : [])];
  }
  if (value instanceof Interrupt) {
    const schema = value.response_schema;
    return ["interrupt", value.id, notation(value.value), ...(schema ? [notation(schema)] : [])];
  }
  if (value instanceof Command) {
    const { graph, update, resume, goto } = value;
    const members = Object.entries({ goto: goto.length > 0 ? goto : undefined, graph, resume, update });
    return ["command", members.flatMap(([key, member]) => (member === undefined ? [] : [[key, notation(member)]]))];
  }
  if (value instanceof Overwrite) return ["overwrite", notation(value.value)];
  if (isDeltaSnapshot(value)) return ["delta_snapshot", notation(value.value)];
  if (Object.getPrototypeOf(value) !== Object.prototype) throw new TypeError(value.constructor.name);
  return ["dict", Object.keys(value).map((key) => [key, notation((value as Record<string, unknown>)[key])])];
}

function ofMessage(message: BaseMessage): Notation {
  const fields = message as unknown as Record<string, unknown>;
  const given = message.lc_kwargs as Record<string, unknown>;
  const type = message.getType() === "generic" ? "chat" : message.getType();
  const members = Object.fromEntries(
    MESSAGE_MEMBERS.map((key) => [key, key in message ? fields[key] : given[key]]),
  ) as Record<string, unknown>;
  if (members["example"] === false) delete members["example"];
  if (members["status"] === "success") delete members["status"];
  const extra = Object.keys(given).filter((key) => !OWN.has(key));
  if (extra.length > 0) members["extra"] = Object.fromEntries(extra.map((key) => [key, given[key]]));
  if (type === "remove") members["content"] = "";
  const names = Object.keys(members)
    .filter((key) => !isLeftOut(key, members[key]))
    .sort();
  const chunk = BaseMessageChunk.isInstance(message) ? "Chunk" : "";
  return ["message", type + chunk, names.map((key) => [key, notation(members[key])])];
}

function isLeftOut(key: string, value: unknown): boolean {
  if (value === undefined || value === null) return true;
  return key !== "content" && key !== "artifact" && value !== "" && isNothing(value);
}

function named(members: Record<string, unknown>): unknown[] {
  return Object.keys(members)
    .filter((key) => !isNothing(members[key]))
    .sort()
    .map((key) => [key, notation(members[key])]);
}

function isNothing(value: unknown): boolean {
  if (value === undefined || value === null || value === "") return true;
  return typeof value === "object" && !(value instanceof Uint8Array) && Object.keys(value).length === 0;
}
