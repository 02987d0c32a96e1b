/** The contract's services, for programs without LangGraph; their messages, and the errors of their calls. */
import type { MessageInitShape } from "@bufbuild/protobuf";

import { callsOf } from "./calls.js";
import { Connection } from "./connection.js";
import { ApiKeys } from "./gen/checkpointd/v1/api_keys_pb.js";
import { Checkpoints } from "./gen/checkpointd/v1/checkpoints_pb.js";
import { Leases } from "./gen/checkpointd/v1/leases_pb.js";
import { Limits } from "./gen/checkpointd/v1/limits_pb.js";
import { Retention } from "./gen/checkpointd/v1/retention_pb.js";
import { States } from "./gen/checkpointd/v1/states_pb.js";
import { Threads, type ListThreadsRequestSchema, type Thread } from "./gen/checkpointd/v1/threads_pb.js";
import type { WatchEvent, WatchRequestSchema } from "./gen/checkpointd/v1/watch_pb.js";
import { Watches } from "./gen/checkpointd/v1/watch_pb.js";
import { DEFAULT_TARGET, type ConnectionOptions } from "./options.js";
import type { Calls, OneCall } from "./services.js";
import { waitFor, type Outcome, type WaitOptions } from "./waiting.js";

/**
 * A client whose values are the contract's messages.
 *
 *     const client = new Client("127.0.0.1:50051", { tenant: "team-a" });
 *     const { threads } = await client.threads.listThreads({});
 *
 * Every call may be repeated: what was answered UNAVAILABLE is sent again, with growing pauses, within the timeout, and so is
 * what a server with too much to do has refused, after the delay that it asks for. What can't be done throws one of the errors of this package. An idle client keeps no process from ending.
 */
export class Client {
  readonly checkpoints: Calls<typeof Checkpoints>;
  readonly threads: Calls<typeof Threads>;
  readonly states: Calls<typeof States>;
  readonly leases: Calls<typeof Leases>;
  readonly limits: Calls<typeof Limits>;
  readonly retention: Calls<typeof Retention>;
  readonly apiKeys: Calls<typeof ApiKeys>;
  readonly watches: Calls<typeof Watches>;
  private readonly connection: Connection;

  /**
   * Nothing is sent before the first call. Throws InvalidRequest for arguments that are not of their form.
   *
   * @param target where the server is: `HOST:PORT`, or several with commas between, which are used by turns while they can be
   *   reached
   */
  constructor(target: string = DEFAULT_TARGET, options: ConnectionOptions = {}) {
    this.connection = new Connection(target, options);
    this.checkpoints = callsOf(this.connection, Checkpoints);
    this.threads = callsOf(this.connection, Threads);
    this.states = callsOf(this.connection, States);
    this.leases = callsOf(this.connection, Leases);
    this.limits = callsOf(this.connection, Limits);
    this.retention = callsOf(this.connection, Retention);
    this.apiKeys = callsOf(this.connection, ApiKeys);
    this.watches = callsOf(this.connection, Watches);
  }

  /** All threads that a request matches, read page by page. */
  async *eachThread(
    request: MessageInitShape<typeof ListThreadsRequestSchema> = {},
    options?: OneCall,
  ): AsyncGenerator<Thread, void, undefined> {
    for (let pageToken = request.pageToken ?? ""; ;) {
      const page = await this.threads.listThreads({ ...request, pageToken }, options);
      yield* page.threads;
      pageToken = page.nextPageToken;
      if (pageToken === "") return;
    }
  }

  /**
   * What is committed, from now on or after the request's token, to a thread, to those with a prefix, or to all.
   *
   * It has no end: it goes on, also over failures, without gap or duplicate, until the loop is left, the signal ends it, or no
   * server answers within the timeout. Throws WatchExpired when events after the token are not kept any more. It begins
   * with its first step; for what must not be missed before that, take a `watchToken` first.
   */
  async *watch(
    request: MessageInitShape<typeof WatchRequestSchema> = {},
    options?: OneCall,
  ): AsyncGenerator<WatchEvent, void, undefined> {
    for await (const { events } of this.watches.watch(request, options)) yield* events;
  }

  /** A token from which a watch of the same thread and filters tells what is committed from now on. */
  async watchToken(request: MessageInitShape<typeof WatchRequestSchema> = {}, options?: OneCall): Promise<string> {
    for await (const { token } of this.watches.watch(request, options)) return token;
    throw new Error("a watch begins with a token");
  }

  /**
   * Waits for what a thread, which need not exist yet, comes to, and says which it is.
   *
   * Throws DeadlineExceeded when the time is over, GraphUnknown when only the thread's graph could tell whether it has
   * finished.
   */
  async waitFor(threadId: string, options: WaitOptions = {}): Promise<Outcome> {
    return waitFor(this, threadId, options);
  }

  /** Closes the connection. Calls under way fail with ClientClosed. Closing twice is allowed. */
  close(): void {
    this.connection.close();
  }
}

export * from "./errors.js";
export * from "./gen/checkpointd/v1/access_pb.js";
export * from "./gen/checkpointd/v1/api_keys_pb.js";
export * from "./gen/checkpointd/v1/checkpoints_pb.js";
export * from "./gen/checkpointd/v1/core_pb.js";
export * from "./gen/checkpointd/v1/error_reason_pb.js";
export * from "./gen/checkpointd/v1/graph_pb.js";
export * from "./gen/checkpointd/v1/leases_pb.js";
export * from "./gen/checkpointd/v1/limits_pb.js";
export * from "./gen/checkpointd/v1/retention_pb.js";
export * from "./gen/checkpointd/v1/states_pb.js";
export * from "./gen/checkpointd/v1/threads_pb.js";
export * from "./gen/checkpointd/v1/watch_pb.js";
export type { ConnectionOptions } from "./options.js";
export type { Calls, OneCall } from "./services.js";
export type { Outcome, WaitOptions } from "./waiting.js";
