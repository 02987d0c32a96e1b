/** RemoteSaver: LangGraph.js's checkpointer on a checkpointd server. */
import type { RunnableConfig } from "@langchain/core/runnables";
import {
  BaseCheckpointSaver,
  maxChannelVersion,
  type ChannelVersions,
  type Checkpoint,
  type CheckpointListOptions,
  type CheckpointMetadata,
  type CheckpointTuple,
  type DeltaChannelHistory,
  type PendingWrite,
} from "@langchain/langgraph-checkpoint";

import { Client } from "../client.js";
import { InvalidRequest, NotFound } from "../errors.js";
import type { CheckpointTuple as Message } from "../gen/checkpointd/v1/core_pb.js";
import { DEFAULT_TARGET, type ConnectionOptions } from "../options.js";
import { PortableSerializer, type Serializer } from "../portable/index.js";
import { Bridge, type Place, type Stored } from "./bridge/bridge.js";
import { pendingWrites, readHistory, readStored, writeCheckpoint, writeWrites } from "./checkpoints.js";
import { checkpointIdOf, configOf, neededPlaceOf, placeOf } from "./configs.js";
import { filterJson, writeMetadata } from "./metadata.js";
import { nextVersion } from "./versions.js";

const TASKS = "__pregel_tasks";

/** What a RemoteSaver can be told. */
export interface RemoteSaverOptions extends ConnectionOptions {
  /**
   * How values become bytes. A PortableSerializer, whose `portable-json/1` graphs in any language read, if absent. With
   * another one only savers that know its encoding read what this one stores.
   */
  serde?: Serializer;
}

/**
 * A checkpointer that keeps its checkpoints on a checkpointd server.
 *
 *     const saver = new RemoteSaver("127.0.0.1:50051");
 *     const graph = builder.compile({ checkpointer: saver });
 *
 * It needs no set-up, and one object serves all graphs and threads of a process. Threads that LangGraph for Python began
 * go on here, and the reverse, when both have the same graph. Call `end` when done; an idle saver keeps no process from
 * ending.
 *
 * All methods throw the errors of this package. Every call may be repeated, and a transient failure is retried within the
 * timeout.
 */
export class RemoteSaver extends BaseCheckpointSaver {
  /** The contract's services on the same connection, such as `saver.client.threads.copyThread`. */
  readonly client: Client;
  private readonly bridge: Bridge;

  /**
   * Nothing is sent before the first call. Throws InvalidRequest for arguments that are not of their form.
   *
   * @param target where the server is: `HOST:PORT`
   */
  constructor(
    target: string = DEFAULT_TARGET,
    { serde = new PortableSerializer(), ...options }: RemoteSaverOptions = {},
  ) {
    super(serde);
    this.client = new Client(target, options);
    this.bridge = new Bridge(async (place) => {
      const message = await this.read(place);
      return message && readStored(message, this.serde);
    });
  }

  /** As the constructor: the name that LangGraph.js's own savers have for it. */
  static fromConnString(target: string, options: RemoteSaverOptions = {}): RemoteSaver {
    return new RemoteSaver(target, options);
  }

  /** Closes the connection. Calls under way fail with ClientClosed. Ending twice is allowed. */
  async end(): Promise<void> {
    this.client.close();
  }

  /**
   * The checkpoint that the config names, or the head of its namespace; undefined when there is none, or the config names
   * no thread. Throws UnknownTask when LangGraph for Python worked on it, and it can't be told what an answer that it
   * stored is for.
   */
  override async getTuple(config: RunnableConfig): Promise<CheckpointTuple | undefined> {
    const place = placeOf(config);
    if (place === undefined) return undefined;
    for (;;) {
      const message = await this.read(this.bridge.stored(place));
      const lookAgain = this.bridge.settle(place, message !== undefined);
      if (message !== undefined) return this.tuple(message, place.checkpointNs);
      if (!lookAgain) return undefined;
    }
  }

  /**
   * Checkpoints, newest commit first.
   *
   * @param config the thread, and the namespace unless all of them are meant; without a thread, all threads
   * @param options `filter` keeps checkpoints whose metadata has these values, `before` those that came before the one
   *   that the config names, `limit` is the greatest number to return
   */
  override async *list(
    config: RunnableConfig,
    { filter, before, limit }: CheckpointListOptions = {},
  ): AsyncGenerator<CheckpointTuple, void, undefined> {
    const place = placeOf(config);
    const { checkpoint_ns: asked } = config.configurable ?? {};
    const checkpointNs = asked === undefined || asked === null ? undefined : String(asked);
    // The server has namespaces only within a thread; of all threads, those of one name are picked out here.
    const picks = place === undefined && checkpointNs !== undefined;
    const most = limit === undefined ? undefined : limitOf(limit);
    const messages = this.client.checkpoints.listCheckpoints({
      threadId: place?.threadId ?? "",
      checkpointId: checkpointIdOf(config),
      beforeCheckpointId: checkpointIdOf(before),
      metadataFilter: filterJson(filter),
      ...(place === undefined || checkpointNs === undefined
        ? {}
        : { checkpointNs: (await this.bridge.settled(place)).checkpointNs }),
      ...(most === undefined || picks ? {} : { limit: most }),
    });
    if (most === 0n) return;
    let count = 0n;
    for await (const { checkpointTuple: message } of messages) {
      if (message === undefined || (picks && message.checkpointNs !== checkpointNs)) continue;
      yield await this.tuple(message, checkpointNs ?? message.checkpointNs);
      count += 1n;
      if (count === most) return;
    }
  }

  /**
   * Stores a checkpoint, with the values of the channels that have a new version, as the head of its namespace. The
   * checkpoint that the config names becomes its parent. Returns the config that names the new one.
   */
  override async put(
    config: RunnableConfig,
    checkpoint: Checkpoint,
    metadata: CheckpointMetadata,
    newVersions: ChannelVersions,
  ): Promise<RunnableConfig> {
    const place = neededPlaceOf(config);
    const [written, about] = await Promise.all([
      writeCheckpoint(checkpoint, newVersions, this.serde),
      writeMetadata(metadata, this.serde),
    ]);
    await this.client.checkpoints.putCheckpoint({
      threadId: place.threadId,
      put: {
        checkpointNs: this.bridge.stored(place).checkpointNs,
        checkpoint: written,
        metadata: about,
        parentCheckpointId: place.checkpointId ?? "",
      },
    });
    return configOf({ ...place, checkpointId: checkpoint.id });
  }

  /**
   * Stores what a task wrote on the checkpoint that the config names. The checkpoint may come later. Throws UnknownTask
   * when LangGraph for Python worked on the task's node, and began it in another way.
   */
  override async putWrites(config: RunnableConfig, writes: PendingWrite[], taskId: string): Promise<void> {
    const place = neededPlaceOf(config);
    if (!place.checkpointId) {
      throw new InvalidRequest("the config names no checkpoint; give it { configurable: { checkpoint_id: ... } }", {
        reason: "INVALID_FIELD",
        metadata: { field: "checkpoint_id" },
      });
    }
    this.bridge.check(place, taskId);
    const { threadId, checkpointNs, checkpointId } = this.bridge.stored(place);
    const put = {
      checkpointNs,
      checkpointId: checkpointId ?? "",
      taskId,
      writes: await writeWrites(writes, this.serde),
    };
    await this.client.checkpoints.putWrites({ threadId, put });
  }

  /** Deletes a thread with everything in it. One that does not exist is deleted already. */
  override async deleteThread(threadId: string): Promise<void> {
    await this.client.threads.deleteThread({ threadId: String(threadId) });
    this.bridge.forget(String(threadId));
  }

  /**
   * What rebuilds delta channels at the checkpoint that the config names, or at the head of its namespace. Of a checkpoint
   * that does not exist, all histories are empty.
   */
  override async getDeltaChannelHistory({
    config,
    channels,
  }: {
    config: RunnableConfig;
    channels: string[];
  }): Promise<Record<string, DeltaChannelHistory>> {
    const place = placeOf(config);
    const stored = place && this.bridge.stored(place);
    const found =
      stored && channels.length > 0
        ? await orNothing(this.client.checkpoints.getChannelHistory({ ...stored, channels }))
        : undefined;
    const histories = new Map(Object.entries(found?.histories ?? {}));
    const read = channels.map(
      async (channel) => [channel, await readHistory(histories.get(channel), channel, this.serde)] as const,
    );
    return Object.fromEntries(await Promise.all(read));
  }

  /** The version after `current`: a text, which LangGraph.js takes as well as the numbers that its type speaks of. */
  override getNextVersion(current: number | undefined): number {
    return nextVersion(current) as unknown as number;
  }

  /** What is stored at a place, or undefined. */
  private async read(stored: Place): Promise<Message | undefined> {
    return (await orNothing(this.client.checkpoints.getCheckpoint(stored)))?.checkpointTuple;
  }

  /** The tuple that LangGraph.js takes for a checkpoint, in its namespace as LangGraph.js names it. */
  private async tuple(message: Message, checkpointNs: string): Promise<CheckpointTuple> {
    const { threadId, parentCheckpointId } = message;
    const found = await readStored(message, this.serde);
    const { checkpoint, metadata } = found;
    const place = { threadId, checkpointNs, checkpointId: checkpoint.id };
    const parent = parentCheckpointId === "" ? undefined : { ...place, checkpointId: parentCheckpointId };
    if (checkpoint.v < 4 && parent !== undefined)
      await this.addSends(found, { ...parent, checkpointNs: message.checkpointNs });
    return {
      config: configOf(place),
      checkpoint,
      metadata,
      pendingWrites: pendingWrites(await this.bridge.writesOf(place, found)),
      ...(parent === undefined ? {} : { parentConfig: configOf(parent) }),
    };
  }

  /** Before version 4, what a checkpoint sends was with the writes of its parent. */
  private async addSends({ checkpoint }: Stored, storedParent: Place): Promise<void> {
    const message = await this.read(storedParent);
    const writes = message === undefined ? [] : (await readStored(message, this.serde)).writes;
    const versions = Object.values(checkpoint.channel_versions);
    checkpoint.channel_values[TASKS] = writes.filter(({ channel }) => channel === TASKS).map(({ value }) => value);
    checkpoint.channel_versions[TASKS] = versions.length > 0 ? maxChannelVersion(...versions) : nextVersion(undefined);
  }
}

/** What was answered; undefined when there is no such checkpoint. */
async function orNothing<Answer>(answer: Promise<Answer>): Promise<Answer | undefined> {
  try {
    return await answer;
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}

function limitOf(limit: number): bigint {
  if (Number.isSafeInteger(limit) && limit >= 0) return BigInt(limit);
  throw new InvalidRequest(`limit is ${limit}; give it a whole number, 0 or more`, {
    reason: "INVALID_FIELD",
    metadata: { field: "limit" },
  });
}
