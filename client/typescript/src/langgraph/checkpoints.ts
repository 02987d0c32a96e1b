/** Checkpoints, writes and histories: LangGraph.js's objects on one side, the contract's messages on the other. */
import { create } from "@bufbuild/protobuf";
import type { ChannelVersions, Checkpoint, DeltaChannelHistory, PendingWrite } from "@langchain/langgraph-checkpoint";

import { InvalidRequest } from "../errors.js";
import type { ChannelHistory } from "../gen/checkpointd/v1/checkpoints_pb.js";
import {
  ChannelNamesSchema,
  ChannelVersionsSchema,
  CheckpointSchema,
  WriteSchema,
  type Checkpoint as Message,
  type CheckpointTuple,
  type PendingWrite as StoredMessage,
  type Write,
} from "../gen/checkpointd/v1/core_pb.js";
import type { Serializer } from "../portable/index.js";
import type { Stored } from "./bridge/bridge.js";
import type { StoredWrite } from "./bridge/writes.js";
import { ownValue, ownWrites, storedValue, storedWrites } from "./canonical.js";
import { readMetadata } from "./metadata.js";
import { dump, load, mapped } from "./values.js";
import { decodeVersions, encodeVersions } from "./versions.js";

// The keys of LangGraph's checkpoint that have a field of their own. All others travel in `extra`.
const FIELDS = new Set(["id", "v", "ts", "channel_values", "channel_versions", "versions_seen", "updated_channels"]);

/**
 * The message for a checkpoint, with the values of those channels that have a new version. A channel that holds undefined
 * is empty, as it is to LangGraph.js when it reads it again.
 *
 * Throws InvalidRequest, naming the field or the channel, for what can't be sent.
 */
export async function writeCheckpoint(
  checkpoint: Checkpoint,
  newVersions: ChannelVersions,
  serde: Serializer,
): Promise<Message> {
  const values = checkpoint.channel_values ?? {};
  const versions = checkpoint.channel_versions ?? {};
  const changed = Object.keys(newVersions ?? {}).filter(
    (name) => Object.hasOwn(versions, name) && Object.hasOwn(values, name),
  );
  const stored = Object.fromEntries(
    changed.map((name) => [name, values[name]]).filter(([, value]) => value !== undefined),
  );
  const { updated_channels: updated } = checkpoint as { updated_channels?: unknown };
  const names = Array.isArray(updated) ? (updated as string[]) : undefined;
  const others = Object.entries(checkpoint).filter(([key, value]) => !FIELDS.has(key) && value !== undefined);
  return create(CheckpointSchema, {
    id: checkpoint.id,
    v: checkpoint.v ?? 0,
    ts: checkpoint.ts ?? "",
    channelVersions: written("channel_versions", versions),
    versionsSeen: Object.fromEntries(
      Object.entries(checkpoint.versions_seen ?? {}).map(([node, seen]) => [
        node,
        create(ChannelVersionsSchema, { versions: written("versions_seen", seen) }),
      ]),
    ),
    ...(names === undefined ? {} : { updatedChannels: create(ChannelNamesSchema, { names }) }),
    channelValues: await mapped(stored, (value, name) =>
      dump(serde, storedValue(name, value), `the value of channel ${JSON.stringify(name)}`),
    ),
    extra: await mapped(Object.fromEntries(others), (value, key) => dump(serde, value, `checkpoint.${key}`)),
  });
}

function written(field: string, versions: ChannelVersions): Record<string, string> {
  try {
    return encodeVersions(versions);
  } catch (cause) {
    throw new InvalidRequest(`checkpoint.${field} can't be sent: ${(cause as Error).message}`, {
      reason: "INVALID_FIELD",
      metadata: { field: `checkpoint.${field}` },
      cause,
    });
  }
}

/** The messages for what a task wrote. Throws InvalidRequest, naming the channel, for what the serialiser refuses. */
export async function writeWrites(writes: readonly PendingWrite[], serde: Serializer): Promise<Write[]> {
  return Promise.all(
    storedWrites(writes).map(async ({ idx, channel, value }) =>
      create(WriteSchema, {
        idx,
        channel,
        value: await dump(serde, value, `the write to channel ${JSON.stringify(channel)}`),
      }),
    ),
  );
}

/** A stored checkpoint, decoded. Throws UnreadableValue for what the serialiser can't read. */
export async function readStored(message: CheckpointTuple, serde: Serializer): Promise<Stored> {
  const [checkpoint, metadata, writes] = await Promise.all([
    readCheckpoint(message.checkpoint ?? create(CheckpointSchema), serde),
    readMetadata(message.metadata, serde),
    readWrites(message.pendingWrites, serde),
  ]);
  return { checkpoint, metadata, writes };
}

async function readCheckpoint(message: Message, serde: Serializer): Promise<Checkpoint> {
  const { v, id, ts, updatedChannels } = message;
  return {
    v,
    id,
    ts,
    channel_values: await mapped(message.channelValues, async (value, name) =>
      ownValue(name, await load(serde, value, name)),
    ),
    channel_versions: decodeVersions(message.channelVersions),
    versions_seen: Object.fromEntries(
      Object.entries(message.versionsSeen).map(([node, seen]) => [node, decodeVersions(seen.versions)]),
    ),
    ...(updatedChannels === undefined ? {} : { updated_channels: updatedChannels.names }),
    ...(await mapped(message.extra, (value, key) => load(serde, value, key))),
  };
}

async function readWrites(messages: readonly StoredMessage[], serde: Serializer): Promise<StoredWrite[]> {
  return Promise.all(
    messages.map(async ({ taskId, taskPath, sequence, write }) => {
      const { idx, channel, value } = write ?? create(WriteSchema);
      return { taskId, taskPath, sequence, idx, channel, value: value && (await load(serde, value, channel)) };
    }),
  );
}

/** LangGraph.js's form of stored writes. */
export function pendingWrites(stored: readonly StoredWrite[]): [taskId: string, channel: string, value: unknown][] {
  return stored.flatMap(({ taskId, channel, value }) =>
    ownWrites(channel, value).map((one): [string, string, unknown] => [taskId, channel, one]),
  );
}

/** LangGraph.js's history of a channel; undefined stands for one without. */
export async function readHistory(
  message: ChannelHistory | undefined,
  channel: string,
  serde: Serializer,
): Promise<DeltaChannelHistory> {
  if (message === undefined) return { writes: [] };
  const writes = pendingWrites(await readWrites(message.writes, serde));
  return { writes, ...(message.seed === undefined ? {} : { seed: await load(serde, message.seed, channel) }) };
}
