/** The serialiser of RemoteSaver. */
import { MemorySaver, type BaseCheckpointSaver } from "@langchain/langgraph-checkpoint";

import { decode } from "./decode.js";
import { encode } from "./encode.js";
import { OpaqueValue } from "./tagged.js";

/** What LangGraph.js takes for a serialiser: from values to an encoding's name and bytes, and back. */
export type Serializer = BaseCheckpointSaver["serde"];

/** The encoding's name. */
export const PORTABLE_JSON = "portable-json/1";

const NOTHING = new Uint8Array();

/**
 * Writes `portable-json/1`, which graphs in any language read: null as the encoding `null`, bytes as `bytes`. Reads these,
 * and LangGraph.js's own `json`. A value in any other encoding becomes an OpaqueValue, which is written as it came.
 */
export class PortableSerializer implements Serializer {
  private readonly native: Serializer = new MemorySaver().serde;

  /** Throws TypeError or PortableJsonError for a value that can't be stored. */
  async dumpsTyped(value: unknown): Promise<[string, Uint8Array]> {
    if (value === null) return ["null", NOTHING];
    if (value instanceof Uint8Array) return ["bytes", value];
    if (value instanceof OpaqueValue) return [value.encoding, value.data];
    return [PORTABLE_JSON, encode(value)];
  }

  /** Throws PortableJsonError for bytes that are not of their encoding. */
  async loadsTyped(encoding: string, data: Uint8Array | string): Promise<unknown> {
    const bytes = typeof data === "string" ? Buffer.from(data, "utf8") : data;
    switch (encoding) {
      case PORTABLE_JSON:
        return decode(bytes);
      case "null":
        return null;
      case "bytes":
      case "bytearray":
        return bytes;
      case "json":
        return this.native.loadsTyped(encoding, bytes);
      default:
        return new OpaqueValue(encoding, bytes);
    }
  }
}
