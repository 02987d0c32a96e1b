/** LangGraph's configs: which thread, namespace and checkpoint a call is about. */
import type { RunnableConfig } from "@langchain/core/runnables";
import { getCheckpointId } from "@langchain/langgraph-checkpoint";

import { InvalidRequest } from "../errors.js";
import type { Place } from "./bridge/bridge.js";

/** Where a config points to; undefined when it names no thread. */
export function placeOf(config: RunnableConfig): Place | undefined {
  const { thread_id: threadId, checkpoint_ns: checkpointNs } = config.configurable ?? {};
  if (threadId === undefined || threadId === null || threadId === "") return undefined;
  return { threadId: String(threadId), checkpointNs: String(checkpointNs ?? ""), checkpointId: checkpointIdOf(config) };
}

/** As `placeOf`. Throws InvalidRequest when the config names no thread. */
export function neededPlaceOf(config: RunnableConfig): Place {
  const place = placeOf(config);
  if (place !== undefined) return place;
  throw new InvalidRequest("the config names no thread; give it { configurable: { thread_id: ... } }", {
    reason: "INVALID_FIELD",
    metadata: { field: "thread_id" },
  });
}

/** The checkpoint that a config names; "" for none. */
export function checkpointIdOf(config: RunnableConfig | undefined): string {
  return config === undefined ? "" : String(getCheckpointId(config));
}

/** The config that points to a checkpoint. */
export function configOf({ threadId, checkpointNs, checkpointId }: Place): RunnableConfig {
  return { configurable: { thread_id: threadId, checkpoint_ns: checkpointNs, checkpoint_id: checkpointId } };
}
