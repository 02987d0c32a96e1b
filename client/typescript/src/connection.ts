/** Where a server is, whose data is meant, how long a call may take, and the connection to it. */
import { Code, ConnectError, type Transport } from "@connectrpc/connect";

import { Channel } from "./channel.js";
import { callHeaders, withEnvironment } from "./credentials.js";
import { checkTimeout, refused, type ConnectionOptions } from "./options.js";
import { transportOn } from "./transport.js";

const HOST_PORT = /^(?:[\w.-]+|\[[0-9A-Fa-f:.]+\]):[0-9]{1,5}$/;
const TENANT = /^[A-Za-z0-9._-]{1,64}$/;

// How gRPC's own clients are told of several addresses.
const OF_GRPC = /^ipv[46]:/;

/** An address as a URL's origin. Throws InvalidRequest for what is none. */
function authority(address: string, secure: boolean): string {
  const url = `${secure ? "https" : "http"}://${address}`;
  // Without the target: a URL that was meant for something else may hold a password.
  if (!HOST_PORT.test(address) || address.endsWith(":0") || !URL.canParse(url)) {
    throw refused("target", "is not HOST:PORT; give it one, such as 127.0.0.1:50051, or several with commas between");
  }
  return new URL(url).origin;
}

/** What the calls of a client share. */
export class Connection {
  /** What goes with a call that is made now. Rejects with InvalidRequest when the token can't be had. */
  readonly headers: () => Promise<Record<string, string>>;
  readonly timeoutMs: number | null;
  readonly transport: Transport;
  /** When a call last said, by `performance.now()`, that it is waiting for the server. */
  warnedAt = -Infinity;
  private readonly channel: Channel;
  private readonly closing = new AbortController();

  /** Nothing is sent. Throws InvalidRequest for arguments that are not of their form. */
  constructor(
    readonly target: string,
    given: ConnectionOptions = {},
  ) {
    const options = withEnvironment(given);
    const { tenant, timeoutMs = 60_000, tls = false } = options;
    const [first, ...others] = String(target)
      .replace(OF_GRPC, "")
      .split(",")
      .map((address) => authority(address, tls !== false));
    if (first === undefined) throw new Error("a string has a first part");
    if (tenant !== undefined && (typeof tenant !== "string" || !TENANT.test(tenant))) {
      throw refused("tenant", `is ${JSON.stringify(tenant)}; give it 1 to 64 characters of A-Z a-z 0-9 . _ -`);
    }
    this.headers = callHeaders(target, options);
    this.timeoutMs = checkTimeout(timeoutMs);
    this.channel = new Channel([first, ...others], typeof tls === "object" ? tls : undefined);
    this.transport = transportOn(this.channel);
  }

  get isClosed(): boolean {
    return this.closing.signal.aborted;
  }

  /** Closes the connection. Calls under way fail with ClientClosed. Closing twice is allowed. */
  close(): void {
    if (this.isClosed) return;
    this.closing.abort();
    this.channel.close(new ConnectError("the client is closed", Code.Unavailable));
  }

  /** Waits, but no longer than until the connection is closed, or the signal says so. */
  async pause(milliseconds: number, signal?: AbortSignal): Promise<void> {
    const signals = signal === undefined ? [this.closing.signal] : [this.closing.signal, signal];
    if (signals.some(({ aborted }) => aborted)) return;
    await new Promise<void>((resolve) => {
      const end = () => {
        clearTimeout(timer);
        for (const one of signals) one.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, milliseconds);
      for (const one of signals) one.addEventListener("abort", end);
    });
  }
}
