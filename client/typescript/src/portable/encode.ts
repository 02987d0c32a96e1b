/** From values to the JSON of `portable-json/1`. */
import { randomUUID } from "node:crypto";

import { Document } from "@langchain/core/documents";
import { BaseMessage } from "@langchain/core/messages";
import { isDeltaSnapshot } from "@langchain/langgraph-checkpoint";

import { writeBase64 } from "./bytes.js";
import { writeDate } from "./dates.js";
import { MAX_DEPTH, PortableJsonError } from "./errors.js";
import { writeError } from "./errors_as_values.js";
import { writeMessage } from "./message_writer.js";
import { isPlain, put, type Members } from "./objects.js";
import { Interrupt, Overwrite, type SendTimeout } from "./shapes.js";
import { OpaqueValue, Tagged } from "./tagged.js";

const MAX_DIGITS = 4000;

// Stands, as text with a number, for the text of a Tagged until the JSON is made. Nobody else can know it.
const PLACE = randomUUID();
const PLACES = new RegExp(`"${PLACE}([0-9]+)"`, "g");

/**
 * The bytes of a value. Throws TypeError for what can't be stored, such as a function, and PortableJsonError for a value
 * that nests too deep or contains itself.
 */
export function encode(value: unknown): Uint8Array {
  const encoder = new Encoder();
  const text = JSON.stringify(encoder.json(value, 0));
  return Buffer.from(encoder.fillIn(text), "utf8");
}

/** Makes a tree that `JSON.stringify` writes. What it would write as it should anyway is left as it is. */
class Encoder {
  private readonly texts: string[] = [];

  /** The JSON, with the texts of what is written as it came. */
  fillIn(text: string): string {
    return this.texts.length === 0
      ? text
      : text.replace(PLACES, (_, index: string) => this.texts[Number(index)] as string);
  }

  /** The tree of a value that is in this many arrays and objects. */
  json(value: unknown, depth: number): unknown {
    switch (typeof value) {
      case "string":
      case "boolean":
        return value;
      case "number":
        return isWritten(value) ? value : this.leaf("float", Object.is(value, -0) ? "-0" : String(value), depth);
      case "object":
        return value === null ? null : this.object(value, depth);
      case "undefined":
        deeper(depth, 1);
        return { $: "undef" };
      case "bigint":
        return this.leaf("int", digits(value), depth);
      default:
        throw new TypeError(`a ${typeof value} can't be stored; take it out of the state`);
    }
  }

  private object(value: object, depth: number): unknown {
    if (Array.isArray(value)) return this.array(value, depth);
    if (isPlain(value)) return this.plain(value, depth);
    if (BaseMessage.isInstance(value)) return this.content("msg", writeMessage(value), depth);
    if (value instanceof Date) return this.leaf("datetime", writeDate(value), depth);
    if (value instanceof Uint8Array) return this.leaf("bytes", writeBase64(value), depth);
    if (value instanceof Map) return this.content("map", Array.from(value as Map<unknown, unknown>), depth);
    if (value instanceof Set) return this.content("set", Array.from(value as Set<unknown>), depth);
    if (value instanceof Error) return this.content("error", writeError(value), depth);
    if (value instanceof RegExp)
      return { ...this.content("regex", { source: value.source, flags: value.flags }, depth), lang: "js" };
    if (value instanceof Tagged) return this.asItCame(value, depth);
    if (value instanceof Document) return this.content("doc", document(value), depth);
    if (value instanceof Interrupt) return this.content("interrupt", interrupt(value), depth);
    if (isDeltaSnapshot(value)) return this.content("delta_snapshot", value.value, depth);
    if (value instanceof OpaqueValue) return opaque(value, depth);
    return this.named(value, depth);
  }

  /** An object of a class that is known by its name, which LangGraph.js gives its own, or by nothing. */
  private named(value: object, depth: number): unknown {
    switch ((value as { lg_name?: unknown }).lg_name) {
      case "Send":
        return this.content("send", send(value as SendLike), depth);
      case "Command":
        return this.content("command", command(value as CommandLike), depth);
      case "Overwrite":
        return this.content("overwrite", (value as Overwrite).__overwrite__, depth);
    }
    if (value instanceof String || value instanceof Number || value instanceof Boolean)
      return this.json(value.valueOf(), depth);
    const inJson = (value as { toJSON?: unknown }).toJSON;
    if (typeof inJson === "function") {
      const made: unknown = inJson.call(value, "");
      // Once, as JSON.stringify does: what comes out may have such a method too.
      return typeof (made as { toJSON?: unknown } | null | undefined)?.toJSON === "function"
        ? this.plain(made as Members, depth)
        : this.json(made, depth);
    }
    if (isWithoutMembers(value)) {
      throw new TypeError(
        `an object of the class ${className(value)} can't be stored; store what is in it, as plain data`,
      );
    }
    return this.plain(value as Members, depth);
  }

  private array(value: readonly unknown[], depth: number): unknown {
    const inside = deeper(depth, 1);
    let copy: unknown[] | undefined;
    for (let index = 0; index < value.length; index += 1) {
      const item = this.json(value[index], inside);
      if (copy !== undefined) copy[index] = item;
      else if (item !== value[index]) {
        copy = value.slice(0, index);
        copy[index] = item;
      }
    }
    return copy ?? value;
  }

  /** An object's own members, those apart that hold undefined. */
  private plain(value: Members, depth: number): unknown {
    const escaped = Object.hasOwn(value, "$");
    const inside = deeper(depth, escaped ? 2 : 1);
    let copy: Members | undefined;
    for (const key of Object.keys(value)) {
      const member = value[key];
      const item = member === undefined ? undefined : this.json(member, inside);
      if (item === member) continue;
      copy ??= copyOf(value);
      put(copy, key, item);
    }
    const written = copy ?? (isPlain(value) ? value : copyOf(value));
    return escaped ? tag("obj", written) : written;
  }

  /** A tagged value whose content is text. */
  private leaf(name: string, text: string, depth: number): Members {
    deeper(depth, 1);
    return tag(name, text);
  }

  /** A tagged value whose content is a value. */
  private content(name: string, value: unknown, depth: number): Members {
    return tag(name, this.json(value === undefined ? null : value, deeper(depth, 1)));
  }

  private asItCame(value: Tagged, depth: number): string {
    deeper(depth, depthOf(value.text));
    this.texts.push(value.text);
    return `${PLACE}${this.texts.length - 1}`;
  }
}

/** Whether `JSON.stringify` writes a number so that it is read again as it is, and as what it is. */
function isWritten(value: number): boolean {
  if (!Number.isInteger(value)) return Number.isFinite(value);
  return Number.isSafeInteger(value) ? value !== 0 || !Object.is(value, -0) : Math.abs(value) >= 1e21;
}

function digits(value: bigint): string {
  const text = value.toString();
  if (text.length > MAX_DIGITS)
    throw new TypeError(`a whole number of ${text.length} digits can't be stored; ${MAX_DIGITS} are the most`);
  return text;
}

function tag(name: string, v: unknown): Members {
  return { $: name, v };
}

function deeper(depth: number, levels: number): number {
  if (depth + levels > MAX_DEPTH) {
    throw new PortableJsonError(`the value nests deeper than ${MAX_DEPTH} levels, or contains itself`);
  }
  return depth + levels;
}

/** How many levels of arrays and objects are in a JSON text. */
function depthOf(text: string): number {
  let [depth, deepest] = [0, 0];
  for (const [token] of text.matchAll(/"(?:[^"\\]|\\.)*"|[[\]{}]/gs)) {
    if (token === "[" || token === "{") deepest = Math.max(deepest, (depth += 1));
    else if (token === "]" || token === "}") depth -= 1;
  }
  return deepest;
}

function copyOf(value: Members): Members {
  const copy: Members = {};
  for (const key of Object.keys(value)) put(copy, key, value[key]);
  return copy;
}

function document(value: Document): Members {
  const metadata: unknown = value.metadata;
  return {
    page_content: value.pageContent,
    ...(isPlain(metadata) && Object.keys(metadata).length === 0 ? {} : { metadata }),
    ...(value.id ? { id: value.id } : {}),
  };
}

interface SendLike {
  node: string;
  args?: unknown;
  timeout?: SendTimeout | undefined;
}

function send({ node, args, timeout }: SendLike): Members {
  return {
    node,
    args: args === undefined ? null : args,
    ...(timeout === undefined ? {} : { timeout: writeTimeout(timeout) }),
  };
}

function writeTimeout({ runTimeout, idleTimeout, refreshOn }: SendTimeout): Members {
  return { run_ms: runTimeout, idle_ms: idleTimeout, refresh_on: refreshOn === "heartbeat" ? refreshOn : undefined };
}

function interrupt({ id, value, response_schema }: Interrupt): Members {
  return {
    value: value === undefined ? null : value,
    id,
    ...(response_schema === undefined ? {} : { response_schema }),
  };
}

interface CommandLike {
  graph?: unknown;
  update?: unknown;
  resume?: unknown;
  goto?: unknown;
}

function command({ graph, update, resume, goto }: CommandLike): Members {
  const nothing = Array.isArray(goto) && goto.length === 0;
  return {
    graph: graph ?? undefined,
    update: update ?? undefined,
    resume: resume ?? undefined,
    goto: nothing ? undefined : (goto ?? undefined),
  };
}

/** An encoding that this client does not read, in the middle of a value: only its writer can revive it. */
function opaque({ encoding, data }: OpaqueValue, depth: number): Members {
  deeper(depth, 1);
  return { $: "opaque", lang: encoding === "msgpack" ? "python" : "", enc: encoding, type: "", v: writeBase64(data) };
}

/** Objects whose content is not in members, so that plain data would lose it. */
function isWithoutMembers(value: object): boolean {
  return (
    ArrayBuffer.isView(value) ||
    [ArrayBuffer, SharedArrayBuffer, Promise, WeakMap, WeakSet, WeakRef].some((kind) => value instanceof kind)
  );
}

function className(value: object): string {
  return (value.constructor as { name?: string } | undefined)?.name ?? "unknown";
}
