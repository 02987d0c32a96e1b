/** From a message of LangChain.js to the content of a `msg`. */
import { BaseMessageChunk, type BaseMessage } from "@langchain/core/messages";

import { BESIDE, MEMBERS, NEEDED, TYPES, type Kind } from "./message_members.js";
import { isPlain, put, type Members } from "./objects.js";

// Values that a member has when it is left out.
const DEFAULTS: Members = { status: "success", example: false };

/** The members of a message, with values that are not encoded yet. Throws TypeError for a type that is not known. */
export function writeMessage(message: BaseMessage): Members {
  const type = TYPES.get(message.getType());
  if (type === undefined)
    throw new TypeError(`a message of the type ${JSON.stringify(message.getType())} can't be stored`);
  const chunk = BaseMessageChunk.isInstance(message);
  const written: Members = { type, content: type === "remove" ? "" : (message.content ?? "") };
  const fields = message as unknown as Members;
  const given = isPlain(message.lc_kwargs) ? (message.lc_kwargs as Members) : {};
  for (const [key, member] of MEMBERS) {
    if (member.types !== undefined && !member.types.includes(type)) continue;
    if (member.chunksOnly !== undefined && !chunk) continue;
    const value = key in message ? fields[key] : given[key];
    if (key === NEEDED[type]) written[key] = value ?? "";
    else if (!isLeftOut(value, member.kind) && value !== DEFAULTS[key])
      written[key] = key === "tool_calls" ? calls(value) : value;
  }
  if (chunk) written["chunk"] = true;
  const extra = extraOf(given, fields, type === "tool");
  if (Object.keys(extra).length > 0) written["extra"] = extra;
  return written;
}

function calls(said: unknown): unknown {
  return Array.isArray(said) ? said.map(call) : said;
}

/** A tool call, with an id in any case. */
function call(said: unknown): unknown {
  if (!isPlain(said)) return said;
  const { name, args, id, type, ...more } = said;
  return { name, args, id: id ?? null, ...(type === undefined ? {} : { type }), ...more };
}

function isLeftOut(value: unknown, kind: Kind): boolean {
  if (value === undefined || value === null) return true;
  if (kind === "anything") return false;
  return Array.isArray(value) ? value.length === 0 : isPlain(value) && Object.keys(value).length === 0;
}

/** What else the class was given, without what LangChain.js itself makes of it, and without functions. */
function extraOf(given: Members, fields: Members, isTool: boolean): Members {
  const extra: Members = {};
  for (const key of Object.keys(given)) {
    if (MEMBERS.has(key) || BESIDE.has(key) || key === "contentBlocks" || key.startsWith("lc_")) continue;
    const value = given[key];
    if (value !== undefined && value !== null && typeof value !== "function" && typeof value !== "symbol")
      put(extra, key, value);
  }
  const metadata = isTool ? fields["metadata"] : undefined;
  if (isPlain(metadata) && Object.keys(metadata).length > 0) extra["metadata"] = metadata;
  return extra;
}
