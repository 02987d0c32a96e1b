/** Watching what is committed, waiting for what a thread comes to, and several servers behind one client. */
import { onTestFinished } from "vitest";

import { DeadlineExceeded, InvalidRequest, WatchEventKind, type Client } from "../src/client.js";
import { errorOf, newClient } from "./support/clients.js";
import { Server } from "./support/server.js";

async function started(listen?: string): Promise<Server> {
  const server = await Server.start([], listen);
  onTestFinished(() => server.stop());
  return server;
}

const put = (client: Client, id: string, threadId = "t") =>
  client.checkpoints.putCheckpoint({ threadId, put: { checkpoint: { id } } });

const write = (client: Client, checkpointId: string, channel: string) =>
  client.checkpoints.putWrites({
    threadId: "t",
    put: { checkpointId, taskId: "task", writes: [{ idx: -1, channel, value: { encoding: "null" } }] },
  });

test("what is committed is told, in order, and goes on from any token", async () => {
  const client = newClient();
  const asked = { threadId: "t", kinds: [WatchEventKind.CHECKPOINT] };
  const token = await client.watchToken(asked);
  for (const id of ["1", "2", "3"]) await put(client, id);
  await put(client, "1", "other");
  const told: string[] = [];
  let after = token;
  while (told.length < 3) {
    for await (const event of client.watch({ ...asked, token: after })) {
      told.push(event.checkpointId);
      after = event.token;
      break; // and begin another one
    }
  }
  expect(told).toEqual(["1", "2", "3"]);
});

test("what is no watch is refused", async () => {
  const client = newClient();
  const events = client.watch({ token: "forged" });
  expect(await errorOf(events.next())).toBeInstanceOf(InvalidRequest);
  expect(await errorOf(client.waitFor("t", { until: ["surprised" as "failed"] }))).toBeInstanceOf(InvalidRequest);
});

test("a thread is waited for until it comes to something", async () => {
  const client = newClient();
  const waiting = client.waitFor("t", { until: ["interrupted"] }); // it is not there yet
  await put(client, "1");
  await write(client, "1", "__interrupt__");
  expect(await waiting).toBe("interrupted");
  const { thread } = await client.threads.getThread({ threadId: "t" });
  const failing = client.waitFor("t", { until: ["failed", "interrupted"], after: thread?.sequence ?? 0n });
  await put(client, "2");
  await write(client, "2", "__error__");
  expect(await failing).toBe("failed");
  const late = await errorOf(client.waitFor("t", { until: ["finished"], timeoutMs: 200 }));
  expect(late).toBeInstanceOf(DeadlineExceeded);
});

test("several servers are used by turns, and one that is away is done without", async () => {
  const [first, second] = await Promise.all([started(), started()]);
  const client = newClient({ tenant: "both" }, `${first.address},${second.address}`);
  for (let number = 0; number < 10; number++) await put(client, "c", `a${number}`);
  for (const { address } of [first, second]) {
    const { threads } = await newClient({ tenant: "both" }, address).threads.listThreads({});
    expect(threads.length).toBe(5);
  }
  await second.stop();
  await Promise.all(Array.from({ length: 20 }, (_, number) => put(client, "c", `b${number}`)));
  const { threads } = await client.threads.listThreads({ threadIdPrefix: "b" });
  expect(threads.length).toBe(20);
});
