/** What a client shows a server to say who it is, and how it makes sure that it talks to the right one. */
import { readFileSync, statSync } from "node:fs";
import type { SecureClientSessionOptions } from "node:http2";

import { refused, type ConnectionOptions } from "./options.js";

// What may go into a header; so a line's end at the end of a file must not.
const TOKEN = /^[\x21-\x7e]+$/;

const LOOPBACK = /^(?:localhost|127(?:\.\d+){3}|\[::1\]):\d+$/i;

/** The options with what the environment says in the place of credentials that are not given. */
export function withEnvironment(
  options: ConnectionOptions,
  environment: Readonly<Record<string, string | undefined>> = process.env,
): ConnectionOptions {
  const { token, tokenFile, tls } = options;
  if (token !== undefined || tokenFile !== undefined || tls !== undefined) return options;
  const text = (name: string) => environment[`CHECKPOINTD_${name}`] || undefined;
  const files = { ca: text("CA_FILE"), cert: text("CERT_FILE"), key: text("KEY_FILE") };
  const secure = Object.values(files).some((file) => file !== undefined) || truth(text("TLS"), "CHECKPOINTD_TLS");
  const found: ConnectionOptions = { ...options };
  const [ownToken, ownFile] = [text("TOKEN"), text("TOKEN_FILE")];
  if (ownToken !== undefined) found.token = ownToken;
  if (ownFile !== undefined) found.tokenFile = ownFile;
  if (secure) found.tls = tlsOf(files);
  found.plaintext ??= truth(text("PLAINTEXT"), "CHECKPOINTD_PLAINTEXT");
  return found;
}

/** What goes with every call. Throws InvalidRequest for credentials that make no sense, or must not be shown at a target. */
export function callHeaders(target: string, options: ConnectionOptions): () => Promise<Record<string, string>> {
  const { tenant, token, tokenFile, tls = false, plaintext = false } = options;
  const named: Record<string, string> = tenant === undefined ? {} : { "checkpointd-tenant": tenant };
  if (token !== undefined && tokenFile !== undefined) {
    throw refused("tokenFile", "is given beside a token; give one of them");
  }
  if (token === undefined && tokenFile === undefined) return async () => named;
  if (tls === false && !plaintext && !LOOPBACK.test(target)) {
    throw refused(
      "token",
      "would be sent where others can read it; use tls (CHECKPOINTD_TLS=1), or say that something else keeps it secret " +
        "(plaintext, CHECKPOINTD_PLAINTEXT=1)",
    );
  }
  if (tokenFile !== undefined) {
    const read = fileReader(tokenFile);
    return async () => ({ ...named, ...shown(read(), "tokenFile") });
  }
  if (typeof token === "function") return async () => ({ ...named, ...shown(await token(), "token") });
  const always = { ...named, ...shown(token, "token") };
  return async () => always;
}

function shown(token: unknown, field: string): Record<string, string> {
  if (typeof token !== "string" || !TOKEN.test(token)) {
    throw refused(field, "is no token: it is empty, or has a space or a character that is none of ASCII's");
  }
  return { authorization: `Bearer ${token}` };
}

/** Reads a file, again when it changes. */
function fileReader(path: string): () => string {
  let known: { version: string; token: string } | undefined;
  return () => {
    try {
      const { mtimeMs, ino } = statSync(path);
      const version = `${mtimeMs} ${ino}`;
      if (known?.version !== version) known = { version, token: readFileSync(path, "utf8").trim() };
      return known.token;
    } catch (error) {
      throw unreadable("tokenFile", error);
    }
  };
}

function tlsOf(files: Record<"ca" | "cert" | "key", string | undefined>): SecureClientSessionOptions | true {
  if ((files.cert === undefined) !== (files.key === undefined)) {
    throw refused("CHECKPOINTD_CERT_FILE", "needs CHECKPOINTD_KEY_FILE, and the reverse; give both");
  }
  const given = Object.entries(files).filter((entry): entry is [string, string] => entry[1] !== undefined);
  if (given.length === 0) return true;
  return Object.fromEntries(
    given.map(([name, path]) => {
      try {
        return [name, readFileSync(path)];
      } catch (error) {
        throw unreadable(`CHECKPOINTD_${name.toUpperCase()}_FILE`, error);
      }
    }),
  );
}

function truth(given: string | undefined, name: string): boolean {
  const text = (given ?? "").toLowerCase();
  if (["1", "true", "yes"].includes(text)) return true;
  if (["", "0", "false", "no"].includes(text)) return false;
  throw refused(name, "is neither 1 nor 0; give it one of them");
}

function unreadable(field: string, error: unknown): Error {
  const code = error instanceof Error && "code" in error ? String(error.code) : "unknown";
  return refused(field, `can't be read (${code}); give a file that can`);
}
