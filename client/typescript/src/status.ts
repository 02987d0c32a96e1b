/** How a call failed: from what the transport says to the error that the caller gets. */
import { Code, ConnectError } from "@connectrpc/connect";

import * as errors from "./errors.js";
import { ErrorInfoSchema } from "./gen/google/rpc/error_details_pb.js";

type Kind = new (what: string, details?: errors.Details) => errors.CheckpointdError;

const KINDS: Readonly<Partial<Record<Code, Kind>>> = {
  [Code.InvalidArgument]: errors.InvalidRequest,
  [Code.OutOfRange]: errors.InvalidRequest,
  [Code.NotFound]: errors.NotFound,
  [Code.AlreadyExists]: errors.AlreadyExists,
  [Code.Aborted]: errors.Aborted,
  [Code.FailedPrecondition]: errors.FailedPrecondition,
  [Code.Unavailable]: errors.Unavailable,
  [Code.Canceled]: errors.Unavailable,
  [Code.DeadlineExceeded]: errors.DeadlineExceeded,
  [Code.ResourceExhausted]: errors.ResourceExhausted,
  [Code.Unauthenticated]: errors.AccessDenied,
  [Code.PermissionDenied]: errors.AccessDenied,
  [Code.Unimplemented]: errors.Unsupported,
};

// What a caller does about it depends on more than the code.
const KINDS_BY_REASON: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["MESSAGE_TOO_LARGE", errors.TooLarge],
  ["GRAPH_UNKNOWN", errors.GraphUnknown],
  ["ALREADY_WRITTEN", errors.AlreadyWritten],
  ["HEAD_MOVED", errors.HeadMoved],
  ["LEASE_HELD", errors.LeaseHeld],
  ["LEASE_LOST", errors.LeaseLost],
  ["NEEDS_CODE", errors.NeedsCode],
  ["OVERLOADED", errors.Overloaded],
  ["TOO_MANY_STREAMS", errors.Overloaded],
  ["QUOTA_EXCEEDED", errors.QuotaExceeded],
  ["WATCH_TOKEN_EXPIRED", errors.WatchExpired],
]);

// Why there is no connection, by what Node.js calls it.
const NOT_CONNECTED: ReadonlyMap<string, string> = new Map([
  ["ECONNREFUSED", "connection refused"],
  ["ENOTFOUND", "the host's name is not known"],
  ["EAI_AGAIN", "the host's name can't be looked up at the moment"],
  ["EHOSTUNREACH", "the host can't be reached"],
  ["ENETUNREACH", "the network can't be reached"],
  ["ETIMEDOUT", "no response"],
  ["ERR_HTTP2_ERROR", "what answers there does not speak gRPC"],
  ["ERR_SSL_WRONG_VERSION_NUMBER", "what answers there does not speak TLS"],
]);

// What Node.js calls a certificate that it does not trust: DEPTH_ZERO_SELF_SIGNED_CERT, CERT_HAS_EXPIRED and many more.
const UNTRUSTED = /CERT|^UNABLE_TO_|^HOSTNAME_MISMATCH$/;

// What the transport says of a connection that broke before the answer was there.
const BROKEN_OFF = /^(?:E[A-Z]+|ERR_HTTP2_[A-Z_]+|ERR_STREAM_[A-Z_]+)$/;
const NO_STATUS = /^protocol error: missing/;

// A number of milliseconds.
const DELAY = /^\d{1,9}$/;

// What gRPC itself says, without an ErrorInfo, of a message so large that the server does not look at it.
const LARGER_THAN_MAX = /message larger than max \((\d+) vs\. (\d+)\)/;

// What protobuf-es says of a request that its message can't hold.
const UNSENDABLE = /^serialize binary: (?:cannot encode field [\w.]*?([a-z_]+) to binary: )?(.*)/s;

/** What a failed call said. */
export class Status {
  readonly code: Code;
  readonly message: string;
  readonly reason: string;
  readonly metadata: Readonly<Record<string, string>>;
  /** Whether the same request may succeed if it is sent again: the server is not there, or has too much to do. */
  readonly isTransient: boolean;
  /** Milliseconds that a server with too much to do wants to be left alone; undefined when it said nothing of the kind. */
  readonly retryAfter: number | undefined;
  /** Whether the connection broke, or there was none. */
  private readonly isGone: boolean;
  /** Why no server was reached, in few words; undefined if one was. */
  readonly notConnected: string | undefined;
  private readonly notTrusted: string | undefined;

  constructor(readonly cause: unknown) {
    const failure = ConnectError.from(cause);
    const info = failure.findDetails(ErrorInfoSchema)[0];
    const tooLarge = info === undefined ? LARGER_THAN_MAX.exec(failure.rawMessage) : null;
    const unsendable = failure.code === Code.Internal ? UNSENDABLE.exec(failure.rawMessage) : null;
    this.code = unsendable === null ? failure.code : Code.InvalidArgument;
    if (tooLarge !== null) {
      const [, size, limit] = tooLarge as unknown as [string, string, string];
      this.message =
        `the message has ${size} bytes and this server takes ${limit}; store less in one step, ` +
        "or start the server with a larger --max-message-size";
      this.reason = "MESSAGE_TOO_LARGE";
      this.metadata = { size, limit, option: "--max-message-size" };
    } else if (unsendable !== null) {
      const [, field = "request", why] = unsendable;
      this.message = `${field} can't be sent: ${String(why)}`;
      this.reason = "INVALID_FIELD";
      this.metadata = { field };
    } else {
      this.message = failure.rawMessage || "the call failed without saying why";
      this.reason = info?.reason ?? "";
      this.metadata = info?.metadata ?? {};
    }
    const causes = nodeCauses(cause);
    this.notTrusted = causes.find(({ code }) => UNTRUSTED.test(code))?.message;
    this.notConnected =
      this.notTrusted === undefined
        ? causes.map(({ code }) => NOT_CONNECTED.get(code)).find((why) => why !== undefined)
        : `its certificate is not trusted: ${this.notTrusted}`;
    const isBrokenOff =
      this.notConnected !== undefined ||
      causes.some(({ code }) => BROKEN_OFF.test(code)) ||
      NO_STATUS.test(failure.rawMessage) ||
      this.code === Code.Canceled;
    this.isGone =
      this.notTrusted === undefined && (this.code === Code.Unavailable || (this.reason === "" && isBrokenOff));
    const delay = this.code === Code.ResourceExhausted ? this.metadata["retry_after_ms"] : undefined;
    this.retryAfter = delay !== undefined && DELAY.test(delay) ? Number(delay) : undefined;
    this.isTransient = this.isGone || this.retryAfter !== undefined;
  }

  /** The error for the caller; `tried` is what to add on how long it was tried. */
  error(server: string, tried = ""): errors.CheckpointdError {
    const kind = KINDS_BY_REASON.get(this.reason) ?? (this.isGone ? errors.Unavailable : KINDS[this.code]);
    const { reason, metadata, cause } = this;
    const code = this.isGone ? "UNAVAILABLE" : codeName(this.code);
    return new (kind ?? errors.ServerFault)(`${this.message}${tried}`, { code, reason, metadata, server, cause });
  }

  /** The error for the caller when no attempt reached a server; `tried` says how many there were. */
  noServer(server: string, tried: string): errors.Unavailable {
    return new errors.Unavailable(`no server answers at ${server} (${this.notConnected ?? this.message}; ${tried})`, {
      server,
      cause: this.cause,
      advice:
        this.notTrusted === undefined
          ? "start one, or check the address. Repeating the call is safe."
          : "say whom to trust: tls: { ca: … }",
    });
  }
}

/** The errors of Node.js behind a failure, outermost first. */
function nodeCauses(cause: unknown): { code: string; message: string }[] {
  const causes: { code: string; message: string }[] = [];
  for (let one = cause; one instanceof Error && causes.length < 10; one = one.cause) {
    const { code } = one as { code?: unknown };
    causes.push({ code: typeof code === "string" ? code : "", message: one.message });
  }
  return causes;
}

/** The name that gRPC has for a code. */
function codeName(code: Code): string {
  return code === Code.Canceled
    ? "CANCELLED"
    : (Code[code] ?? "Unknown").replace(/(?<=[a-z])(?=[A-Z])/g, "_").toUpperCase();
}
