/** Clients and savers on the tests' server, each on a tenant of its own, closed when the test is over. */
import { randomUUID } from "node:crypto";

import { inject, onTestFinished } from "vitest";

import { Client } from "../../src/client.js";
import type { ConnectionOptions } from "../../src/options.js";
import { RemoteSaver, type RemoteSaverOptions } from "../../src/index.js";

export function newClient(options: ConnectionOptions = {}, target = inject("address")): Client {
  const client = new Client(target, { tenant: randomUUID(), ...options });
  onTestFinished(() => client.close());
  return client;
}

export function newSaver(options: RemoteSaverOptions = {}): RemoteSaver {
  const saver = new RemoteSaver(inject("address"), { tenant: randomUUID(), ...options });
  onTestFinished(() => saver.end());
  return saver;
}

/** What a call throws. */
export async function errorOf(call: Promise<unknown>): Promise<unknown> {
  return call.then(
    (answer) => {
      throw new Error(`the call did not throw, but gave ${JSON.stringify(answer)}`);
    },
    (error: unknown) => error,
  );
}
