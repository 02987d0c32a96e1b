/** Waiting for what a thread comes to. */
import type { Client } from "./client.js";
import { Cancelled, DeadlineExceeded, GraphUnknown, NotFound, WatchExpired } from "./errors.js";
import { ThreadStatus } from "./gen/checkpointd/v1/threads_pb.js";
import { checkTimeout, refused } from "./options.js";

const OUTCOMES = ["finished", "interrupted", "failed"] as const;

/** Nothing runs next; a task waits for an answer; a task has failed. */
export type Outcome = (typeof OUTCOMES)[number];

/** What is waited for. */
export interface WaitOptions {
  /** Which it may be. Any, if absent. */
  until?: readonly Outcome[];
  /** A commit of the thread: what it had come to then does not count. Give its `sequence` from before you start a run. */
  after?: bigint;
  /** Milliseconds; for ever, if absent. */
  timeoutMs?: number | null;
  /** Ends it. It then throws Cancelled. */
  signal?: AbortSignal;
}

/** See `Client.waitFor`. */
export async function waitFor(client: Client, threadId: string, options: WaitOptions): Promise<Outcome> {
  const { until = OUTCOMES, after = 0n, signal } = options;
  const timeoutMs = checkTimeout(options.timeoutMs ?? null);
  if (until.length === 0 || !until.every((one) => OUTCOMES.includes(one))) {
    throw refused("until", `is ${JSON.stringify(until)}; give it some of ${OUTCOMES.join(", ")}`);
  }
  const late = timeoutMs === null ? undefined : AbortSignal.timeout(timeoutMs);
  const signals = [signal, late].filter((one) => one !== undefined);
  const calls = { signal: AbortSignal.any(signals) };
  try {
    for (;;) {
      try {
        // Watched first and looked at then, so that nothing can come between.
        for await (const _ of client.watches.watch({ threadId }, calls)) {
          const outcome = await comeTo(client, threadId, after, until.includes("finished"), calls);
          if (outcome !== undefined && until.includes(outcome)) return outcome;
        }
      } catch (error) {
        if (!(error instanceof WatchExpired)) throw error;
      }
    }
  } catch (error) {
    if (!(error instanceof Cancelled) || late?.aborted !== true || signal?.aborted === true) throw error;
    const waited = `thread ${JSON.stringify(threadId)} is not ${until.join(" or ")} after ${String(timeoutMs)} ms`;
    throw new DeadlineExceeded(waited, { server: error.server, cause: error });
  }
}

async function comeTo(
  client: Client,
  threadId: string,
  after: bigint,
  finished: boolean,
  calls: { signal: AbortSignal },
): Promise<Outcome | undefined> {
  try {
    const { thread } = await client.threads.getThread({ threadId }, calls);
    if (thread === undefined || thread.sequence <= after) return undefined;
    if (thread.status === ThreadStatus.INTERRUPTED) return "interrupted";
    if (thread.status === ThreadStatus.FAILED) return "failed";
    if (thread.status !== ThreadStatus.IDLE || !finished) return undefined;
    const { snapshot } = await client.states.getState({ threadId }, calls);
    if (snapshot?.nextUnknown === true) {
      const what = `whether thread ${JSON.stringify(threadId)} has finished can't be told without its graph`;
      throw new GraphUnknown(what, { advice: "register the graph; what it writes from then on names it" });
    }
    return snapshot?.exists === true && snapshot.next.length === 0 ? "finished" : undefined;
  } catch (error) {
    if (error instanceof NotFound) return undefined;
    throw error;
  }
}
