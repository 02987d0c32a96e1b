/** Where a server is, whose data is meant, and how long a call may take. */
import type { SecureClientSessionOptions } from "node:http2";

import { InvalidRequest } from "./errors.js";

/** What every client can be told. */
export interface ConnectionOptions {
  /**
   * Whose data to read and write: 1 to 64 characters of `A-Z a-z 0-9 . _ -`. Tenants share nothing. If absent, that of the
   * token; without one, `default`.
   */
  tenant?: string;
  /**
   * Milliseconds that one call may take, its retries included; null waits for ever. Of a list, it bounds the wait for
   * the first item. 60 seconds if absent.
   */
  timeoutMs?: number | null;
  /**
   * Whether the connection is encrypted: true for Node.js's defaults, or Node.js's own options, such as `ca`, and `cert` and
   * `key` for mutual TLS. If absent, what CHECKPOINTD_TLS, _CA_FILE, _CERT_FILE and _KEY_FILE say.
   */
  tls?: boolean | SecureClientSessionOptions;
  /**
   * For servers that ask who calls: an API key or a JWT, or what returns the one to use, asked for every call. If neither it nor
   * `tokenFile` is there, CHECKPOINTD_TOKEN. (The variables count only when no option about credentials is given.)
   */
  token?: string | (() => string | Promise<string>);
  /** A file with the token, read again when it changes. CHECKPOINTD_TOKEN_FILE. */
  tokenFile?: string;
  /** Send the token without TLS to other machines too: something else keeps it secret. CHECKPOINTD_PLAINTEXT. */
  plaintext?: boolean;
}

/** Where a server is unless it is said. */
export const DEFAULT_TARGET = "127.0.0.1:50051";

/** A timeout as it was given. Throws InvalidRequest for what is none. */
export function checkTimeout(timeoutMs: number | null): number | null {
  if (timeoutMs === null || (typeof timeoutMs === "number" && timeoutMs > 0 && timeoutMs < 2 ** 31)) return timeoutMs;
  throw refused("timeoutMs", `is ${String(timeoutMs)}; give it milliseconds above 0, or null to wait for ever`);
}

/** The error for an argument. */
export function refused(field: string, why: string): InvalidRequest {
  return new InvalidRequest(`${field} ${why}`, { reason: "INVALID_FIELD", metadata: { field } });
}
