/**
 * What can go wrong, by what a caller does about it.
 *
 *     CheckpointdError
 *     ├── InvalidRequest       the request breaks a rule of the contract: change it
 *     ├── NotFound             there is no such thread, checkpoint, graph or subgraph
 *     ├── AlreadyExists        the target has a history of its own: choose another id
 *     ├── FailedPrecondition   the thread, as it is, does not allow this: change that first
 *     │   ├── GraphUnknown     no graph is known for the thread: register it, or name one
 *     │   └── NeedsCode        only the graph's code knows the outcome: say it in the request, or update with the graph
 *     ├── Aborted              another writer was first: read again and decide
 *     │   ├── HeadMoved        the head is not the one that was expected
 *     │   ├── LeaseLost        the lease has ended: acquire it again, and read again
 *     │   ├── AlreadyWritten   another run has written a task's result: read again
 *     │   └── LeaseHeld        somebody else has the lease: wait, or try later
 *     ├── Unavailable          the server, or its database, was not there for the whole timeout: try later
 *     ├── DeadlineExceeded     no answer within the timeout: try later, or allow more time
 *     ├── ResourceExhausted    the server has no room: free some
 *     │   ├── TooLarge         one message is over the server's limit: store less, or raise the limit
 *     │   ├── Overloaded       the server had too much to do for the whole timeout: try later
 *     │   └── QuotaExceeded    the tenant uses all that it may: delete something, or ask an operator for more
 *     ├── WatchExpired         events after the token of a watch are gone: watch from now on, and read again
 *     ├── AccessDenied         the caller may not do this
 *     ├── Unsupported          the server does not know the call: it is older than this client
 *     ├── ServerFault          a fault of the server's own: its log says more
 *     ├── UnreadableValue      a stored value can't be read with this client's serialiser
 *     ├── UnknownTask          an answer waits for a task of another language that none of this graph's is known to be
 *     ├── Cancelled            the caller's own signal ended the call
 *     └── ClientClosed         the client was used after it was closed
 *
 * Every error says in its message which server it came from, why, and what to do; its properties say the same to programs.
 */

/** What is known of a failure, besides its message. */
export interface Details {
  /** The gRPC status code's name, such as `NOT_FOUND`; of a failure on this side, the one that says the same. */
  code?: string;
  /** A name from the contract's `ErrorReason` without its prefix, such as `INVALID_FIELD`; "" when there is none. */
  reason?: string;
  /** The reason's details, by the names that the contract documents. */
  metadata?: Readonly<Record<string, string>>;
  /** The target that the client was made with; "" when no server was involved. */
  server?: string;
  /** What to do. */
  advice?: string;
  cause?: unknown;
}

/** A call failed. */
export class CheckpointdError extends Error {
  declare readonly code: string;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  readonly server: string;
  readonly advice: string;

  /** Makes the message of what went wrong, `Details`, and advice. */
  constructor(what: string, details: Details = {}) {
    const { code, reason = "", metadata = {}, server = "" } = details;
    const kind = new.target as typeof CheckpointdError & { code: string; advice: string };
    const advice = details.advice ?? kind.advice;
    const from = server !== "" && !what.includes(` at ${server} `) ? `from ${server}` : "";
    const cause = [code ?? kind.code, reason, from].filter((part) => part !== "").join(" ");
    super(
      `${what} [${cause}]${advice === "" ? "" : `; ${advice}`}`,
      details.cause === undefined ? {} : { cause: details.cause },
    );
    this.name = kind.name;
    this.code = code ?? kind.code;
    this.reason = reason;
    this.metadata = metadata;
    this.server = server;
    this.advice = advice;
  }

  static readonly code: string = "UNKNOWN";
  static readonly advice: string = "";
}

/** The request breaks a rule of the contract; nothing was stored. `metadata.field` names the field. */
export class InvalidRequest extends CheckpointdError {
  static override readonly code = "INVALID_ARGUMENT";
}

/** There is no such thread, checkpoint, graph or subgraph. */
export class NotFound extends CheckpointdError {
  static override readonly code = "NOT_FOUND";
}

/** The target of a copy has a history of its own. */
export class AlreadyExists extends CheckpointdError {
  static override readonly code = "ALREADY_EXISTS";
}

/** The thread, as it is, does not allow this; nothing was stored. */
export class FailedPrecondition extends CheckpointdError {
  static override readonly code = "FAILED_PRECONDITION";
}

/** No graph is known for the thread, and the request names none; nothing was stored. */
export class GraphUnknown extends FailedPrecondition {}

/** The outcome depends on code of the graph, which the server does not have; nothing was stored. */
export class NeedsCode extends FailedPrecondition {}

/** Another writer was first; nothing was stored. */
export class Aborted extends CheckpointdError {
  static override readonly code = "ABORTED";
  static override readonly advice: string = "read the thread again and decide whether to repeat";
}

/** The head of the namespace, `metadata.head`, is not the one that was expected. Nothing was stored. */
export class HeadMoved extends Aborted {}

/** The lease has ended, so that somebody else may write the thread; nothing was stored. */
export class LeaseLost extends Aborted {
  static override readonly advice = "acquire it again, and read the thread as it is now";
}

/** Another run has written what the same task of this one wrote, and something else; nothing was stored. */
export class AlreadyWritten extends Aborted {
  static override readonly advice = "run again: that goes on from what is there";
}

/** Somebody else has the lease of the thread. `metadata` has `holder` and `expires_in_ms`. */
export class LeaseHeld extends Aborted {
  static override readonly advice = "wait for longer, or try again later";
}

/** The server or its database could not be reached for the whole timeout. A write may or may not be stored. */
export class Unavailable extends CheckpointdError {
  static override readonly code = "UNAVAILABLE";
  static override readonly advice =
    "check that the server runs at this address and try again: repeating a call is safe";
}

/** There was no answer within the timeout. A write may or may not be stored. */
export class DeadlineExceeded extends CheckpointdError {
  static override readonly code = "DEADLINE_EXCEEDED";
  static override readonly advice = "try again, which is safe, or give the client a longer timeout";
}

/** The server has no room for the request; nothing was stored. */
export class ResourceExhausted extends CheckpointdError {
  static override readonly code = "RESOURCE_EXHAUSTED";
}

/** A message is over the server's limit; nothing was stored. `metadata` has `size` and `limit` in bytes, and `option`. */
export class TooLarge extends ResourceExhausted {}

/** The server had too much to do for the whole timeout; nothing was stored. `metadata` has `limit` and `option`. */
export class Overloaded extends ResourceExhausted {
  static override readonly advice = "try again later, or start more servers: repeating a call is safe";
}

/**
 * The tenant uses all that it may; nothing was stored. `metadata` has `quota` (`threads`, `bytes` or `ops_per_second`) and
 * `limit`.
 */
export class QuotaExceeded extends ResourceExhausted {
  static override readonly advice = "delete what is not needed, or ask who runs this server for more";
}

/** Events after the token of a watch are not kept any more: it was broken off for too long. */
export class WatchExpired extends CheckpointdError {
  static override readonly code = "OUT_OF_RANGE";
}

/** The caller is not known to the server, or may not do this. */
export class AccessDenied extends CheckpointdError {
  static override readonly code = "PERMISSION_DENIED";
}

/** The server does not know this call. */
export class Unsupported extends CheckpointdError {
  static override readonly code = "UNIMPLEMENTED";
  static override readonly advice =
    "check that the address is a checkpointd server's and that it is not older than this client";
}

/** The server failed in a way that it did not expect. */
export class ServerFault extends CheckpointdError {
  static override readonly advice = "the server's log says more";
}

/** A stored value can't be read with this client's serialiser. */
export class UnreadableValue extends CheckpointdError {
  static override readonly code = "DATA_LOSS";
  static override readonly advice = "use the serialiser (serde) that the value was stored with";
}

/** Another language worked on a task of the thread, and it is not known which of this graph's tasks it is. */
export class UnknownTask extends CheckpointdError {
  static override readonly code = "FAILED_PRECONDITION";
  static override readonly advice = "go on in the language that began it";
}

/** The caller's own signal ended the call. A write may or may not be stored. */
export class Cancelled extends CheckpointdError {
  static override readonly code = "CANCELLED";
}

/** The client was used after it was closed. */
export class ClientClosed extends CheckpointdError {
  static override readonly code = "CANCELLED";
  static override readonly advice = "make a new one";
}
