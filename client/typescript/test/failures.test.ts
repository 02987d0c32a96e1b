/** What becomes of calls when the network, the server or what answers in its place fails. */
import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { createServer, type AddressInfo, type Server as NetServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { inject, onTestFinished } from "vitest";

import { DeadlineExceeded, Unavailable, type Client } from "../src/client.js";
import { errorOf, newClient } from "./support/clients.js";
import { Proxy } from "./support/proxy.js";
import { Server } from "./support/server.js";

async function newProxy(...args: Parameters<typeof Proxy.start>): Promise<Proxy> {
  const proxy = await Proxy.start(...args);
  onTestFinished(() => proxy.refuse().catch(() => undefined));
  return proxy;
}

async function store(client: Client, count: number): Promise<string[]> {
  const ids = Array.from({ length: count }, (_, index) => String(index).padStart(4, "0"));
  for (const [index, id] of ids.entries()) {
    await client.checkpoints.putCheckpoint({
      threadId: "t",
      put: { checkpoint: { id }, parentCheckpointId: ids[index - 1] ?? "" },
    });
  }
  return ids.reverse();
}

async function idsOf(client: Client, limit?: number): Promise<string[]> {
  const ids: string[] = [];
  const request = { threadId: "t", checkpointNs: "", ...(limit === undefined ? {} : { limit: BigInt(limit) }) };
  for await (const { checkpointTuple } of client.checkpoints.listCheckpoints(request))
    ids.push(checkpointTuple?.checkpoint?.id ?? "");
  return ids;
}

describe("a call waits for a server", () => {
  test("that starts later", async () => {
    const proxy = await newProxy(inject("address"));
    await proxy.refuse();
    const client = newClient({}, proxy.address);
    const listed = client.threads.listThreads({});
    // The first attempts are refused before anybody listens again.
    await errorOf(newClient({ timeoutMs: 200 }, proxy.address).threads.listThreads({}));
    await proxy.accept();
    expect((await listed).threads).toEqual([]);
  });

  test("that is restarted, and goes on with a connection of its own", async () => {
    const first = await Server.start();
    const client = newClient({}, first.address);
    await client.threads.listThreads({});
    await first.stop();
    const listed = client.threads.listThreads({});
    const second = await Server.start([], first.address);
    onTestFinished(() => second.stop());
    expect((await listed).threads).toEqual([]);
  });

  test("until its time is over, and says how often it tried", async () => {
    const proxy = await newProxy(inject("address"));
    await proxy.refuse();
    const gone = await errorOf(newClient({ timeoutMs: 500 }, proxy.address).threads.listThreads({}));
    expect(gone).toBeInstanceOf(Unavailable);
    expect((gone as Unavailable).message).toMatch(
      /^no server answers at 127\.0\.0\.1:\d+ \(connection refused; \d+ attempts in/,
    );
  });

  test("whose name nobody knows", async () => {
    const unknown = await errorOf(newClient({ timeoutMs: 200 }, "no-such-host.invalid:1").threads.listThreads({}));
    expect(unknown).toBeInstanceOf(Unavailable);
  });

  test("and warns, once, when that takes long", async () => {
    const proxy = await newProxy(inject("address"));
    await proxy.refuse();
    const warned = once(process, "warning");
    const client = newClient({}, proxy.address);
    const listed = [client.threads.listThreads({}), client.threads.listThreads({})];
    const [warning] = (await warned) as [Error];
    expect(warning.name).toBe("CheckpointdWarning");
    expect(warning.message).toMatch(/^no answer from 127\.0\.0\.1:\d+ yet \(connection refused\); trying again for/);
    await proxy.accept();
    await Promise.all(listed);
  });
});

describe("a connection that breaks", () => {
  test("under a call is made again, and the call with it", async () => {
    const proxy = await newProxy(inject("address"));
    const client = newClient({}, proxy.address);
    const { lease } = await client.leases.acquireLease({ threadId: "t", holder: "one", ttl: { seconds: 30n } });
    const waits = client.leases.acquireLease({
      threadId: "t",
      holder: "two",
      ttl: { seconds: 30n },
      wait: { seconds: 30n },
    });
    await client.threads.listThreads({}); // so that the one before is under way
    proxy.cut();
    await client.leases.releaseLease({ threadId: "t", holder: "one", fencingToken: lease?.fencingToken ?? 0n });
    expect((await waits).lease?.holder).toBe("two");
    expect(proxy.accepted).toBeGreaterThan(1);
  });

  test.each([undefined, 250])("in the middle of a list of limit %s does not end it", async (limit) => {
    const proxy = await newProxy(inject("address"));
    const client = newClient({}, proxy.address);
    const ids = await store(client, 300);
    let answers = 0;
    proxy.onAnswer = () => {
      answers += 1;
      if (answers === 2) proxy.cut();
    };
    expect(await idsOf(client, limit)).toEqual(ids.slice(0, limit));
    expect(proxy.accepted).toBeGreaterThan(1);
  });

  test("in the middle of a list of all threads ends that, because it can't be said where it was", async () => {
    const proxy = await newProxy(inject("address"));
    const client = newClient({}, proxy.address);
    await store(client, 300);
    const reading = (async () => {
      for await (const _ of client.checkpoints.listCheckpoints({})) proxy.cut();
    })();
    expect(await errorOf(reading)).toBeInstanceOf(Unavailable);
  });
});

describe("a network that swallows everything", () => {
  test("ends a call at its deadline, its own one first", async () => {
    const proxy = await newProxy(inject("address"));
    const client = newClient({ timeoutMs: null }, proxy.address);
    await client.threads.listThreads({});
    proxy.hold();
    const late = await errorOf(client.threads.listThreads({}, { timeoutMs: 300 }));
    expect(late).toBeInstanceOf(DeadlineExceeded);
    expect((late as DeadlineExceeded).message).toContain("(after 0.3 s)");
  });

  test("ends a list of which nothing has come", async () => {
    const proxy = await newProxy(inject("address"));
    const client = newClient({ timeoutMs: 300 }, proxy.address);
    proxy.hold();
    expect(await errorOf(idsOf(client))).toBeInstanceOf(DeadlineExceeded);
  });
});

describe("what is no server of ours", () => {
  async function listening(server: NetServer): Promise<string> {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    onTestFinished(() => void server.close());
    return `127.0.0.1:${(server.address() as AddressInfo).port}`;
  }

  test.each<[string, string, () => NetServer]>([
    [
      "speaks HTTP/1",
      "what answers there does not speak gRPC",
      () => createHttpServer((_, response) => response.end("hello")),
    ],
    [
      "says nonsense",
      "what answers there does not speak gRPC",
      () => createServer((one) => one.on("error", () => undefined).end("\0\0\0nonsense")),
    ],
    ["hangs up", "", () => createServer((one) => one.destroy())],
  ])("and %s gives an error of ours", async (_, why, make) => {
    const address = await listening(make());
    const failed = await errorOf(newClient({ timeoutMs: 400 }, address).threads.listThreads({}));
    expect(failed).toBeInstanceOf(Unavailable);
    expect((failed as Unavailable).message).toContain(address);
    expect((failed as Unavailable).message).toContain(why);
  });
});

describe("TLS", () => {
  const home = mkdtempSync(join(tmpdir(), "checkpointd-tls-"));
  const [keyFile, certFile] = [join(home, "key.pem"), join(home, "cert.pem")];
  const subject = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"];
  const made = ["-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-keyout", keyFile, "-out", certFile];

  beforeAll(() => {
    execFileSync("openssl", ["req", ...made, ...subject], { stdio: "ignore" });
  });

  const newTlsProxy = () =>
    newProxy(inject("address"), { key: readFileSync(keyFile), cert: readFileSync(certFile), ALPNProtocols: ["h2"] });

  test("is spoken to a proxy that ends it", async () => {
    const proxy = await newTlsProxy();
    const client = newClient({ tls: { ca: readFileSync(certFile) } }, proxy.address);
    expect((await client.threads.listThreads({})).threads).toEqual([]);
  });

  test("is not spoken to somebody whose certificate is not trusted", async () => {
    const proxy = await newTlsProxy();
    // At once: there is nothing to wait for.
    const refused = await errorOf(newClient({ tls: true, timeoutMs: null }, proxy.address).threads.listThreads({}));
    expect(refused).toBeInstanceOf(Unavailable);
    expect((refused as Unavailable).message).toContain(
      "its certificate is not trusted: self-signed certificate; 1 attempt",
    );
    expect((refused as Unavailable).advice).toBe("say whom to trust: tls: { ca: … }");
  });

  test("is missed where only one side speaks it", async () => {
    const proxy = await newTlsProxy();
    expect(await errorOf(newClient({ timeoutMs: 400 }, proxy.address).threads.listThreads({}))).toBeInstanceOf(
      Unavailable,
    );
    const plain = await errorOf(newClient({ timeoutMs: 400, tls: true }).threads.listThreads({}));
    expect(plain).toBeInstanceOf(Unavailable);
    expect((plain as Unavailable).message).toContain("what answers there does not speak TLS");
  });
});

test("an idle client keeps no process from ending, and a closed one neither", () => {
  const dist = new URL("../dist/client.js", import.meta.url).href;
  for (const end of ["", "client.close();"]) {
    const program = `
      import { Client } from ${JSON.stringify(dist)};
      const client = new Client(${JSON.stringify(inject("address"))});
      await client.threads.listThreads({});
      ${end} console.log("done");`;
    const said = execFileSync(process.execPath, ["--input-type=module", "--eval", program], {
      timeout: 30_000,
      encoding: "utf8",
    });
    expect(said).toBe("done\n");
  }
});
