/** What becomes of calls when the server has too much to do, or the tenant uses all that it may. */
import { onTestFinished } from "vitest";

import { Overloaded, QuotaExceeded, type Client } from "../src/client.js";
import { errorOf, newClient } from "./support/clients.js";
import { Server } from "./support/server.js";

async function started(...options: string[]): Promise<Server> {
  const server = await Server.start(options);
  onTestFinished(() => server.stop());
  return server;
}

const put = (client: Client, threadId: string, size = 1) =>
  client.checkpoints.putCheckpoint({
    threadId,
    put: {
      checkpoint: {
        id: "c",
        channelVersions: { a: "1" },
        channelValues: { a: { encoding: "bytes", data: new Uint8Array(size) } },
      },
    },
  });

test("a server that has too much to do is left alone for a while", async () => {
  // It refuses before it reads, so what is on its way must not break the connection.
  const server = await started("--max-in-flight", "1", "--max-streams", "1");
  const client = newClient({}, server.address);
  const many = Array.from({ length: 30 }, (_, number) => `t${number}`);
  const answers = await Promise.all(many.map((threadId) => put(client, threadId, 300_000)));
  expect(answers.map(({ sequence }) => sequence)).toEqual(many.map(() => 1n));

  const { lease } = await client.leases.acquireLease({ threadId: "t", holder: "a", ttl: { seconds: 60n } });
  expect(lease?.holder).toBe("a");
  const waiting = client.leases.acquireLease({
    threadId: "t",
    holder: "b",
    ttl: { seconds: 60n },
    wait: { seconds: 60n },
  });
  const hurried = newClient({ timeoutMs: 900 }, server.address);
  let refused: unknown;
  while (!(refused instanceof Overloaded)) {
    refused = await hurried.leases
      .acquireLease({ threadId: "t", holder: "c", ttl: { seconds: 60n } })
      .catch((error: unknown) => error);
  }
  expect(refused.reason).toBe("TOO_MANY_STREAMS");
  expect(refused.metadata["option"]).toBe("--max-streams");
  await client.leases.releaseLease({ threadId: "t", holder: "a", fencingToken: lease?.fencingToken ?? 0n });
  expect((await waiting).lease?.holder).toBe("b");
});

test("a quota of operations makes calls wait, one of nothing is an error", async () => {
  const client = newClient();
  await client.limits.setQuota({ quota: { maxOpsPerSecond: 10n } });
  const began = performance.now();
  for (let count = 0; count < 25; count++) await client.threads.listThreads({});
  expect(performance.now() - began).toBeGreaterThan(1400);
  await client.limits.setQuota({ quota: { maxOpsPerSecond: 0n } });
  const refused = await errorOf(client.threads.listThreads({}));
  expect(refused).toBeInstanceOf(QuotaExceeded);
  expect((refused as QuotaExceeded).metadata).toEqual({ quota: "ops_per_second", limit: "0" });
  await client.limits.setQuota({});
  expect((await client.limits.getQuota({})).quota?.maxOpsPerSecond).toBeUndefined();
  await client.threads.listThreads({});
});
