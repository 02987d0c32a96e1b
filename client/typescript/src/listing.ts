/** Reading what comes as a stream: a list, of checkpoints or states, or a watch. */
import { clone, type DescMethod, type Message } from "@bufbuild/protobuf";
import { Code, ConnectError, type CallOptions } from "@connectrpc/connect";

import type { Connection } from "./connection.js";
import type { ListCheckpointsRequest, ListCheckpointsResponse } from "./gen/checkpointd/v1/checkpoints_pb.js";
import type { GetStateHistoryRequest, GetStateHistoryResponse } from "./gen/checkpointd/v1/states_pb.js";
import type { WatchRequest, WatchResponse } from "./gen/checkpointd/v1/watch_pb.js";
import { Attempts } from "./retry.js";
import type { OneCall } from "./services.js";
import { Status } from "./status.js";

/** Opens a stream. */
export type Open = (request: unknown, options: CallOptions) => AsyncIterable<unknown>;

/**
 * The items of a list. One that has given nothing yet is asked for again after a failure. One that has goes on before its
 * last checkpoint, if it is of one namespace, whose order is that of commits, and did not begin before a checkpoint
 * itself, which may be of another namespace and then means an order of ids. A watch goes on after its last token.
 */
export async function* each(
  connection: Connection,
  open: Open,
  method: DescMethod,
  request: Message,
  options: OneCall = {},
): AsyncGenerator<unknown, void, undefined> {
  for (let attempts = new Attempts(connection, options); ;) {
    attempts.check();
    const taken: { count: number; last: unknown } = { count: 0, last: undefined };
    let status: Status;
    try {
      for await (const item of bounded(open, request, connection, attempts, options.signal)) {
        taken.count += 1;
        taken.last = item;
        yield item;
      }
      return;
    } catch (failure) {
      if (!(failure instanceof Failed)) throw failure; // the reader's own
      status = new Status(failure.cause);
    }
    if (taken.count > 0) {
      const rest = status.isTransient ? restOf(method, request, taken.count, taken.last) : undefined;
      if (rest === undefined) throw attempts.error(status);
      request = rest;
      attempts = new Attempts(connection, options);
    }
    await attempts.pauseAfter(status);
  }
}

/** A failure of the stream itself, and not of who reads it. */
class Failed extends Error {}

/** A stream whose first item must come in time, and that ends when nobody reads it any more. */
async function* bounded(
  open: Open,
  request: Message,
  connection: Connection,
  attempts: Attempts,
  signal: AbortSignal | undefined,
): AsyncGenerator<unknown, void, undefined> {
  const ending = new AbortController();
  const giveUp = () => ending.abort(signal?.reason);
  signal?.addEventListener("abort", giveUp);
  const left = attempts.timeLeft();
  const alarm =
    left === 0
      ? undefined
      : setTimeout(() => ending.abort(new ConnectError("the operation timed out", Code.DeadlineExceeded)), left);
  try {
    const headers = await connection.headers();
    const items = open(request, { headers, timeoutMs: 0, signal: ending.signal })[Symbol.asyncIterator]();
    for (;;) {
      const next = await items.next().catch((cause: unknown) => {
        throw new Failed("", { cause });
      });
      clearTimeout(alarm);
      if (next.done === true) return;
      yield next.value;
    }
  } finally {
    clearTimeout(alarm);
    signal?.removeEventListener("abort", giveUp);
    ending.abort();
  }
}

/** The request for what is left of a stream; undefined where it can't be said. */
function restOf(method: DescMethod, request: Message, taken: number, last: unknown): Message | undefined {
  const rest = clone(method.input, request) as ListCheckpointsRequest | GetStateHistoryRequest | WatchRequest;
  if (rest.$typeName === "checkpointd.v1.WatchRequest") {
    rest.token = (last as WatchResponse).token;
    return rest;
  }
  const isListed = rest.$typeName === "checkpointd.v1.ListCheckpointsRequest";
  const inOneNamespace = isListed ? rest.threadId !== "" && rest.checkpointNs !== undefined : true;
  if (!inOneNamespace || rest.beforeCheckpointId !== "") return undefined;
  const id = isListed
    ? (last as ListCheckpointsResponse).checkpointTuple?.checkpoint?.id
    : (last as GetStateHistoryResponse).snapshot?.config?.checkpointId;
  if (id === undefined) return undefined;
  rest.beforeCheckpointId = id;
  if (rest.limit !== undefined) rest.limit -= BigInt(taken);
  return rest;
}
