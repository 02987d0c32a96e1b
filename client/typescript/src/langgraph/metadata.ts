/**
 * Checkpoint metadata: an object in LangGraph.js, a JSON object in the contract.
 *
 * JSON is what filters look at and what other languages read. Where it can't hold an object as it is, the whole of it is
 * sent in the serialiser's encoding as well, and the JSON holds what it can.
 */
import { create } from "@bufbuild/protobuf";
import type { CheckpointMetadata } from "@langchain/langgraph-checkpoint";

import { InvalidRequest, UnreadableValue } from "../errors.js";
import { MetadataSchema, type Metadata } from "../gen/checkpointd/v1/core_pb.js";
import { isPlain, put, type Members } from "../portable/objects.js";
import { OpaqueValue, type Serializer } from "../portable/index.js";
import { dump, load } from "./values.js";

// PostgreSQL's jsonb takes far more, but other readers of the JSON may not.
const DEEPEST = 100;

// What the contract's JSON refuses in text: NUL, and surrogates without their other half.
const NO_TEXT = /\0|\p{Surrogate}/u;
const NO_TEXTS = new RegExp(NO_TEXT, "gu");

const NOTHING = Symbol("nothing");

/** Puts metadata into a message. Throws InvalidRequest for what the serialiser refuses. */
export async function writeMetadata(metadata: CheckpointMetadata, serde: Serializer): Promise<Metadata> {
  const whole = metadata as unknown;
  if (fitsJson(whole)) return create(MetadataSchema, { json: JSON.stringify(whole) });
  const json = JSON.stringify(project(whole));
  return create(MetadataSchema, { json, native: await dump(serde, whole, "metadata") });
}

/** The metadata in a message: as it was where the serialiser can read it, otherwise what its JSON holds. */
export async function readMetadata(message: Metadata | undefined, serde: Serializer): Promise<CheckpointMetadata> {
  if (message?.native !== undefined) {
    // Another kind of client's encoding may be one that this serialiser does not read.
    const native = await load(serde, message.native, "metadata").catch((error: unknown) => {
      if (error instanceof UnreadableValue) return new OpaqueValue("", new Uint8Array());
      throw error;
    });
    if (isPlain(native)) return native as unknown as CheckpointMetadata;
  }
  return JSON.parse(message?.json || "{}") as CheckpointMetadata;
}

/** The contract's form of a filter on metadata; "" for none. Throws InvalidRequest for values that are not JSON's. */
export function filterJson(filter: Readonly<Record<string, unknown>> | undefined): string {
  if (filter === undefined || Object.keys(filter).length === 0) return "";
  if (!fitsJson(filter)) {
    throw new InvalidRequest("the filter holds what JSON can't; give it plain values", {
      reason: "INVALID_FIELD",
      metadata: { field: "filter" },
    });
  }
  // A key that must be absent is null in the contract.
  return JSON.stringify(filter, (_, value: unknown) => (value === undefined ? null : value));
}

/** Whether a value comes back from JSON as it was. A member that holds undefined does not count. */
function fitsJson(value: unknown, depth = 0): boolean {
  switch (typeof value) {
    case "string":
      return !NO_TEXT.test(value);
    case "number":
      return Number.isFinite(value) && !Object.is(value, -0);
    case "boolean":
      return true;
    case "object": {
      if (value === null) return true;
      if (depth >= DEEPEST) return false;
      if (Array.isArray(value)) return value.every((item) => fitsJson(item, depth + 1));
      if (!isPlain(value) || "toJSON" in value) return false;
      return Object.entries(value).every(
        ([key, part]) => !NO_TEXT.test(key) && (part === undefined || fitsJson(part, depth + 1)),
      );
    }
    default:
      return false;
  }
}

/** What JSON can hold of a value: text is cleaned, what does not fit is left out. NOTHING if that is all of it. */
function project(value: unknown, depth = 0): unknown {
  switch (typeof value) {
    case "string":
      return cleaned(value);
    case "number":
      return Number.isFinite(value) ? value : NOTHING;
    case "boolean":
      return value;
    case "object": {
      if (value === null) return null;
      if (depth >= DEEPEST) return NOTHING;
      if (Array.isArray(value)) return value.map((item) => project(item, depth + 1)).filter((item) => item !== NOTHING);
      if (!isPlain(value)) return NOTHING;
      const parts: Members = {};
      for (const [key, part] of Object.entries(value)) {
        const projected = project(part, depth + 1);
        if (projected !== NOTHING) put(parts, cleaned(key), projected);
      }
      return parts;
    }
    default:
      return NOTHING;
  }
}

function cleaned(text: string): string {
  return text.replace(NO_TEXTS, (found) => (found === "\0" ? "" : "\ufffd"));
}
