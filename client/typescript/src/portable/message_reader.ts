/** From the content of a `msg` to a message of LangChain.js. */
import type { BaseMessage } from "@langchain/core/messages";

import { BESIDE, CLASSES, MEMBERS, NEEDED, type Kind, type MessageType } from "./message_members.js";
import { isPlain, put, type Members } from "./objects.js";

/** The message; undefined when the members, whose values are decoded, are not those of one. */
export function readMessage(said: Members): BaseMessage | undefined {
  const type = said["type"];
  if (typeof type !== "string" || !Object.hasOwn(CLASSES, type)) return undefined;
  const classes = CLASSES[type as MessageType];
  const [chunk, extra] = [said["chunk"] ?? false, said["extra"] ?? {}];
  const content = said["content"];
  if (typeof chunk !== "boolean" || !isContent(content) || !isExtra(extra)) return undefined;
  if (type === "remove" && content !== "") return undefined;
  if (!areMembersOf(said, type as MessageType, chunk)) return undefined;
  const message = (chunk ? classes.chunk : classes.message)?.();
  if (message === undefined) return undefined;
  fill(message, said, extra);
  return message;
}

function isContent(content: unknown): boolean {
  const isBlock = (block: unknown) => typeof block === "string" || (typeof block === "object" && block !== null);
  return typeof content === "string" || (Array.isArray(content) && content.every(isBlock));
}

function isExtra(extra: unknown): extra is Members {
  return isPlain(extra) && Object.keys(extra).every((key) => !MEMBERS.has(key) && !BESIDE.has(key));
}

function areMembersOf(said: Members, type: MessageType, chunk: boolean): boolean {
  const needed = NEEDED[type];
  if (needed !== undefined && typeof said[needed] !== "string") return false;
  return Object.keys(said).every((key) => {
    if (BESIDE.has(key)) return true;
    const member = MEMBERS.get(key);
    if (member === undefined) return false;
    const value = said[key] ?? null;
    if (value === null) return true;
    if (member.types !== undefined && !member.types.includes(type)) return false;
    return (chunk || member.chunksOnly === undefined) && isOf(member.kind, value);
  });
}

function isOf(kind: Kind, value: unknown): boolean {
  switch (kind) {
    case "text":
      return typeof value === "string";
    case "truth":
      return typeof value === "boolean";
    case "object":
      return isPlain(value);
    case "objects":
      return Array.isArray(value) && value.every(isPlain);
    case "calls":
      return Array.isArray(value) && value.every(isCall);
    case "status":
      return value === "success" || value === "error";
    case "anything":
      return true;
  }
}

function isCall(call: unknown): boolean {
  if (!isPlain(call) || typeof call["name"] !== "string" || !isPlain(call["args"])) return false;
  return Object.hasOwn(call, "id") && (call["id"] === null || typeof call["id"] === "string");
}

/**
 * Sets the members. Not by the constructor, which makes of some of them something else: of raw tool calls a warning, of
 * the content of `output_version` v1 another content.
 */
function fill(message: BaseMessage, said: Members, extra: Members): void {
  const fields = message as unknown as Members;
  const given = message.lc_kwargs as Members;
  const set = (key: string, value: unknown) => {
    if (key in message) fields[key] = value;
    given[key] = value;
  };
  set("content", message.getType() === "remove" ? [] : said["content"]);
  for (const key of MEMBERS.keys()) {
    const value = said[key] ?? null;
    if (value !== null) set(key, value);
  }
  // What the class has no member for stays among what it was given, where LangChain.js leaves it too.
  for (const key of Object.keys(extra)) put(given, key, extra[key]);
  if (message.getType() === "tool" && isPlain(extra["metadata"])) fields["metadata"] = extra["metadata"];
}
