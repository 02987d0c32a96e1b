/** When a failed call is tried again. */
import { Code } from "@connectrpc/connect";

import type { Connection } from "./connection.js";
import { Cancelled, ClientClosed, type CheckpointdError } from "./errors.js";
import { checkTimeout } from "./options.js";
import type { OneCall } from "./services.js";
import type { Status } from "./status.js";

// Milliseconds. The first retry comes soon, because most outages are a restart or a dropped connection; the longest pause
// keeps the many clients of a server that is down from being a load when it comes back.
const FIRST_PAUSE = 50;
const LONGEST_PAUSE = 2_000;

// Milliseconds. How long a call tries again before it says so, and how long the other calls of its client leave it at that.
const PATIENCE = 2_000;

/** The attempts of one call: how long each one may take, and whether another one follows. */
export class Attempts {
  private readonly began = performance.now();
  private readonly timeoutMs: number | null;
  private ceiling = FIRST_PAUSE;
  private count = 1;
  private previous: Status | undefined;
  private warned = false;

  private readonly signal: AbortSignal | undefined;

  /** Throws InvalidRequest for a timeout that is none. */
  constructor(
    private readonly connection: Connection,
    { timeoutMs, signal }: OneCall,
  ) {
    this.timeoutMs = timeoutMs === undefined ? connection.timeoutMs : checkTimeout(timeoutMs);
    this.signal = signal;
  }

  /** Milliseconds until the deadline, at least 1; 0 without a deadline, which is how the transport takes it. */
  timeLeft(): number {
    if (this.timeoutMs === null) return 0;
    return Math.max(1, Math.ceil(this.began + this.timeoutMs - performance.now()));
  }

  /** Throws if there must be no attempt: the client is closed, or the caller has given up. */
  check(): void {
    if (this.connection.isClosed) throw new ClientClosed("the client is closed", { server: this.connection.target });
    if (this.signal?.aborted === true) throw this.cancelled();
  }

  /** Pauses before the next attempt. Throws the error of the status when there is none. */
  async pauseAfter(status: Status): Promise<void> {
    // Jitter over the whole pause, so that clients that failed together spread.
    const pause = (status.retryAfter ?? 0) + Math.random() * this.ceiling;
    this.ceiling = Math.min(2 * this.ceiling, LONGEST_PAUSE);
    const over = this.connection.isClosed || this.signal?.aborted === true;
    if (over || !status.isTransient || (this.timeoutMs !== null && pause >= this.timeLeft())) throw this.error(status);
    this.warn(status, pause);
    this.count += 1;
    this.previous = status;
    await this.connection.pause(pause, this.signal);
    this.check();
  }

  /** The error for the last failure of this call, with what went before it. */
  error(status: Status): CheckpointdError {
    const { target, isClosed } = this.connection;
    if (isClosed) return new ClientClosed("the client was closed during the call", { server: target });
    if (this.signal?.aborted === true) return this.cancelled();
    const spent = performance.now() - this.began;
    if (status.notConnected !== undefined) {
      return status.noServer(
        target,
        `${this.count === 1 ? "1 attempt" : `${this.count} attempts`} in ${seconds(spent)}`,
      );
    }
    let tried = "";
    if (this.previous !== undefined) {
      const before = this.previous.message === status.message ? "" : `, the one before: ${this.previous.message}`;
      tried = ` (attempt ${this.count}, ${seconds(spent)} after the first${before})`;
    } else if (status.code === Code.DeadlineExceeded && this.timeoutMs !== null) {
      tried = ` (after ${seconds(this.timeoutMs)})`;
    }
    return status.error(target, tried);
  }

  private cancelled(): Cancelled {
    return new Cancelled("the call's signal was aborted", {
      server: this.connection.target,
      cause: this.signal?.reason,
    });
  }

  private warn(status: Status, pause: number): void {
    const now = performance.now();
    if (this.warned || now + pause - this.began < PATIENCE) return;
    this.warned = true;
    if (now - this.connection.warnedAt < PATIENCE) return;
    this.connection.warnedAt = now;
    const trying = this.timeoutMs === null ? "until it answers" : `for ${seconds(this.timeLeft())}`;
    const why = status.notConnected ?? status.message;
    process.emitWarning(
      `no answer from ${this.connection.target} yet (${why}); trying again ${trying}`,
      "CheckpointdWarning",
    );
  }
}

function seconds(milliseconds: number): string {
  return `${(milliseconds / 1000).toFixed(milliseconds < 10_000 ? 1 : 0)} s`;
}
