/** A real `checkpointd serve`, with a PostgreSQL of its own, for as long as the tests run. */
import { execFile, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

import type { TestProject } from "vitest/node";

declare module "vitest" {
  interface ProvidedContext {
    /** Where the server is: HOST:PORT. */
    address: string;
  }
}

const OF_REPOSITORY = fileURLToPath(new URL("../../../../.venv/bin/checkpointd", import.meta.url));
const READY = "checkpointd listening on ";

/** `CHECKPOINTD` says the command, else it is the repository's, or the one on the PATH. */
function commandLine(): string[] {
  return (process.env["CHECKPOINTD"] ?? (existsSync(OF_REPOSITORY) ? OF_REPOSITORY : "checkpointd")).split(" ");
}

/** A server that the test ends. */
export class Server {
  private constructor(
    private readonly process: ChildProcess,
    private readonly data: string,
    readonly address: string,
  ) {}

  static async start(options: readonly string[] = [], listen = "127.0.0.1:0"): Promise<Server> {
    const [program = "", ...rest] = commandLine();
    const data = mkdtempSync(join(tmpdir(), "checkpointd-test-"));
    // Nothing of this environment may configure the server, or name a database.
    const mine = Object.entries(process.env).filter(([name]) => !/^(CHECKPOINTD|PG)/.test(name));
    const started = spawn(
      program,
      [...rest, "serve", "--listen", listen, "--data-dir", data, "--log-level", "error", ...options],
      {
        stdio: ["ignore", "pipe", "inherit"],
        env: Object.fromEntries(mine),
      },
    );
    const failed = once(started, "exit").then(([code]) => {
      throw new Error(`${program} serve ended with code ${String(code)} before it was ready`);
    });
    failed.catch(() => undefined); // also when nobody waits for it any more
    const line = await Promise.race([once(createInterface(started.stdout), "line"), failed]);
    return new Server(started, data, String(line[0]).replace(READY, "").trim());
  }

  /** A new API key: an operator's, or that of a tenant's administrator. */
  async adminKey(tenant?: string): Promise<string> {
    const [program = "", ...rest] = commandLine();
    const words = [
      ...rest,
      "admin-key",
      "--data-dir",
      this.data,
      ...(tenant === undefined ? [] : ["--tenant", tenant]),
    ];
    const { stdout } = await promisify(execFile)(program, words);
    return stdout.trim();
  }

  /** Ends the server, once it has answered what it took. */
  async stop(): Promise<void> {
    if (this.process.exitCode === null) {
      this.process.kill("SIGTERM");
      await once(this.process, "exit");
    }
    rmSync(this.data, { recursive: true, force: true });
  }
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const server = await Server.start();
  project.provide("address", server.address);
  return () => server.stop();
}
