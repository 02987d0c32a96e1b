/** From the JSON of `portable-json/1` to values. A closed list of tags: nothing in the data names anything to be called. */
import { Document } from "@langchain/core/documents";
import { DeltaSnapshot } from "@langchain/langgraph-checkpoint";

import { readBase64 } from "./bytes.js";
import { readDate } from "./dates.js";
import { PortableJsonError } from "./errors.js";
import { readError } from "./errors_as_values.js";
import { readMessage } from "./message_reader.js";
import { hasOnly, isPlain, put, type Members } from "./objects.js";
import { readTree, type Tree } from "./reader.js";
import { Command, Interrupt, Overwrite, Send, type SendTimeout } from "./shapes.js";
import { Tagged } from "./tagged.js";

// What a tag's reader returns when its content is not as the encoding says: the value stays a Tagged.
const NOT_SO = Symbol("not so");

const INT = /^(?:0|-?[1-9][0-9]{0,3999})$/;
const FLOAT = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/;

const TAG_AND_V = new Set(["$", "v"]);
const OF_SET = new Set(["$", "v", "frozen"]);
const OF_REGEX = new Set(["$", "v", "lang"]);
const OF_REGEX_V = new Set(["source", "flags"]);
const OF_DOC = new Set(["page_content", "metadata", "id"]);
const OF_SEND = new Set(["node", "args", "timeout"]);
const OF_TIMEOUT = new Set(["run_ms", "idle_ms", "refresh_on"]);
const OF_INTERRUPT = new Set(["value", "id", "response_schema"]);
const OF_COMMAND = new Set(["graph", "update", "resume", "goto"]);

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

/** The value that was encoded. Throws PortableJsonError for bytes that are not this encoding. */
export function decode(data: Uint8Array): unknown {
  let text: string;
  try {
    text = utf8.decode(data);
  } catch {
    throw new PortableJsonError("the bytes are not UTF-8");
  }
  const tree = readTree(text);
  return tree.tagged.size === 0 ? tree.root : new Decoder(text, tree.tagged).value(tree.root);
}

/** Makes values of a tree, in place. */
class Decoder {
  constructor(
    private readonly text: string,
    private readonly places: Tree["tagged"],
  ) {}

  value(node: unknown): unknown {
    if (typeof node !== "object" || node === null) return node;
    if (Array.isArray(node)) {
      for (let index = 0; index < node.length; index += 1) node[index] = this.value(node[index]);
      return node;
    }
    const place = this.places.get(node);
    if (place === undefined) return this.members(node as Members);
    const tag = (node as Members)["$"];
    const value = typeof tag === "string" ? this.tagged(tag, node as Members) : NOT_SO;
    if (value !== NOT_SO) return value;
    return new Tagged(typeof tag === "string" ? tag : null, this.text.slice(...place));
  }

  private members(node: Members): Members {
    for (const key of Object.keys(node)) {
      const member = node[key];
      if (typeof member === "object" && member !== null) put(node, key, this.value(member));
    }
    return node;
  }

  private tagged(tag: string, node: Members): unknown {
    const v = node["v"];
    switch (tag) {
      case "set":
        return hasOnly(node, OF_SET) && (node["frozen"] ?? true) === true ? this.set(v) : NOT_SO;
      case "regex":
        return hasOnly(node, OF_REGEX) && node["lang"] === "js" ? regex(v) : NOT_SO;
      case "undef":
        return Object.hasOwn(node, "v") || !hasOnly(node, TAG_AND_V) ? NOT_SO : undefined;
    }
    if (!hasOnly(node, TAG_AND_V)) return NOT_SO;
    switch (tag) {
      case "obj":
        return isPlain(v) ? this.members(v) : NOT_SO;
      case "int":
        return typeof v === "string" && INT.test(v) ? BigInt(v) : NOT_SO;
      case "float":
        return float(v);
      case "bytes":
        return typeof v === "string" ? (readBase64(v) ?? NOT_SO) : NOT_SO;
      case "datetime":
        return typeof v === "string" ? (readDate(v) ?? NOT_SO) : NOT_SO;
      case "map":
        return this.map(v);
      case "msg":
        return isPlain(v) && !this.places.has(v) ? (readMessage(this.members(v)) ?? NOT_SO) : NOT_SO;
      case "doc":
        return this.content(v, OF_DOC, document);
      case "send":
        return this.content(v, OF_SEND, send);
      case "interrupt":
        return this.content(v, OF_INTERRUPT, interrupt);
      case "command":
        return this.content(v, OF_COMMAND, command);
      case "error":
        return isPlain(v) && !this.places.has(v) ? (readError(v) ?? NOT_SO) : NOT_SO;
      case "overwrite":
        return new Overwrite(this.value(v ?? null));
      case "delta_snapshot":
        return new DeltaSnapshot(this.value(v ?? null));
      default:
        return NOT_SO;
    }
  }

  /** What `read` makes of a content, an object with these members, whose values are decoded. */
  private content(v: unknown, names: ReadonlySet<string>, read: (members: Members) => unknown): unknown {
    return isPlain(v) && hasOnly(v, names) ? read(this.members(v)) : NOT_SO;
  }

  private set(v: unknown): unknown {
    if (!Array.isArray(v)) return NOT_SO;
    const set = new Set(this.value(v) as unknown[]);
    return set.size === v.length ? set : NOT_SO;
  }

  private map(v: unknown): unknown {
    if (!Array.isArray(v) || !v.every((pair) => Array.isArray(pair) && pair.length === 2)) return NOT_SO;
    const map = new Map(this.value(v) as [unknown, unknown][]);
    return map.size === v.length ? map : NOT_SO;
  }
}

function float(v: unknown): unknown {
  if (typeof v !== "string") return NOT_SO;
  if (v === "NaN" || v === "Infinity" || v === "-Infinity") return Number(v);
  const number = FLOAT.test(v) ? Number(v) : Infinity;
  return Number.isFinite(number) ? number : NOT_SO;
}

function regex(v: unknown): unknown {
  if (!isPlain(v) || !hasOnly(v, OF_REGEX_V)) return NOT_SO;
  const [source, flags] = [v["source"], v["flags"] ?? ""];
  if (typeof source !== "string" || typeof flags !== "string") return NOT_SO;
  try {
    return new RegExp(source, flags);
  } catch {
    return NOT_SO;
  }
}

function document(members: Members): unknown {
  const [pageContent, metadata, id] = [members["page_content"], members["metadata"] ?? {}, members["id"] ?? undefined];
  if (typeof pageContent !== "string" || !isPlain(metadata)) return NOT_SO;
  if (id !== undefined && typeof id !== "string") return NOT_SO;
  return new Document({ pageContent, metadata, ...(id === undefined ? {} : { id }) });
}

function send(members: Members): unknown {
  const node = members["node"];
  if (typeof node !== "string") return NOT_SO;
  const args = members["args"] ?? null;
  const said = members["timeout"] ?? null;
  if (said === null) return new Send(node, args);
  const timeout = isPlain(said) ? readTimeout(said) : undefined;
  return timeout === undefined ? NOT_SO : new Send(node, args, timeout);
}

function readTimeout(said: Members): SendTimeout | undefined {
  const [run, idle, refreshOn] = [
    said["run_ms"] ?? undefined,
    said["idle_ms"] ?? undefined,
    said["refresh_on"] ?? "auto",
  ];
  const isTime = (time: unknown): time is number | undefined =>
    time === undefined || (typeof time === "number" && time > 0);
  if (!hasOnly(said, OF_TIMEOUT) || !isTime(run) || !isTime(idle) || (run ?? idle) === undefined) return undefined;
  if (refreshOn !== "auto" && refreshOn !== "heartbeat") return undefined;
  return { runTimeout: run, idleTimeout: idle, refreshOn };
}

function interrupt(members: Members): unknown {
  const [id, schema] = [members["id"], members["response_schema"] ?? undefined];
  if (typeof id !== "string" || !(schema === undefined || isPlain(schema))) return NOT_SO;
  return new Interrupt(id, members["value"] ?? null, schema);
}

function command(members: Members): unknown {
  const [graph, goto] = [members["graph"] ?? undefined, members["goto"] ?? []];
  const targets: unknown[] = Array.isArray(goto) ? goto : [goto];
  if (graph !== undefined && typeof graph !== "string") return NOT_SO;
  if (!targets.every((target) => typeof target === "string" || target instanceof Send)) return NOT_SO;
  return new Command(graph, members["update"] ?? undefined, members["resume"] ?? undefined, targets);
}
