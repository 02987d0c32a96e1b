/** Values: objects in LangGraph.js, an encoding's name and bytes in the contract. The serialiser (serde) knows both. */
import { create } from "@bufbuild/protobuf";

import { InvalidRequest, UnreadableValue } from "../errors.js";
import { ValueSchema, type Value } from "../gen/checkpointd/v1/core_pb.js";
import type { Serializer } from "../portable/index.js";

/** A value, serialised. Throws InvalidRequest with this name when the serialiser refuses it. */
export async function dump(serde: Serializer, value: unknown, name: string): Promise<Value> {
  try {
    const [encoding, data] = await serde.dumpsTyped(value);
    return create(ValueSchema, { encoding, data });
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new InvalidRequest(`${name} can't be stored: ${why}; this call stored nothing`, {
      reason: "INVALID_FIELD",
      metadata: { field: name },
      cause,
    });
  }
}

/** The value that was serialised. Throws UnreadableValue with this name when the serialiser can't make it. */
export async function load(serde: Serializer, { encoding, data }: Value, name: string): Promise<unknown> {
  try {
    return await serde.loadsTyped(encoding, data);
  } catch (cause) {
    const why = cause instanceof Error ? cause.message : String(cause);
    throw new UnreadableValue(
      `the value of ${JSON.stringify(name)}, ${data.length} bytes of encoding ${JSON.stringify(encoding)}, can't be read: ${why}`,
      { metadata: { name, encoding }, cause },
    );
  }
}

/** The values of a map, each made of one of another map's, at the same key. */
export async function mapped<From, To>(
  values: Readonly<Record<string, From>>,
  make: (value: From, key: string) => Promise<To>,
): Promise<Record<string, To>> {
  const entries = Object.entries(values).map(async ([key, value]) => [key, await make(value, key)] as const);
  return Object.fromEntries(await Promise.all(entries));
}
