/** Credentials: what a server that asks who calls is shown, and where they come from. */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

import { onTestFinished } from "vitest";

import { AccessDenied, Client, InvalidRequest, Role } from "../src/client.js";
import { withEnvironment } from "../src/credentials.js";
import { RemoteSaver } from "../src/index.js";
import { errorOf } from "./support/clients.js";
import { Server } from "./support/server.js";

let server: Server;

beforeAll(async () => {
  server = await Server.start(["--auth", "api-key"]);
});

afterAll(() => server.stop());

function client(options: ConstructorParameters<typeof Client>[1] = {}): Client {
  const made = new Client(server.address, options);
  onTestFinished(() => made.close());
  return made;
}

test("a token says who calls, and whose data it is", async () => {
  const token = await server.adminKey("acme");
  const admin = client({ token });
  expect((await admin.threads.listThreads({})).threads).toEqual([]);
  const { secret } = await admin.apiKeys.createApiKey({ role: Role.READ, name: "a reader", threadIdPrefixes: ["a-"] });
  const reader = client({ token: async () => secret });
  const denied = await errorOf(reader.threads.deleteThread({ threadId: "a-1" }));
  expect(denied).toBeInstanceOf(AccessDenied);
  expect((denied as AccessDenied).reason).toBe("PERMISSION_DENIED");
  expect(String(denied)).not.toContain(secret);
  const other = client({ token, tenant: "another" });
  expect(await errorOf(other.threads.listThreads({}))).toBeInstanceOf(AccessDenied);
  const saver = new RemoteSaver(server.address, { token });
  onTestFinished(() => saver.end());
  await saver.deleteThread("t");
});

test("without a token, or with another one, nothing is told", async () => {
  for (const [options, reason] of [
    [{}, "CREDENTIAL_MISSING"],
    [{ token: "cpd_a_b" }, "CREDENTIAL_INVALID"],
  ] as const) {
    const denied = await errorOf(client(options).threads.listThreads({}));
    expect(denied).toBeInstanceOf(AccessDenied);
    expect((denied as AccessDenied).reason).toBe(reason);
  }
});

test("a file is read again when it changes", async () => {
  const home = mkdtempSync(join(tmpdir(), "checkpointd-test-"));
  onTestFinished(() => rmSync(home, { recursive: true }));
  const tokenFile = join(home, "token");
  writeFileSync(tokenFile, "cpd_a_b\n");
  const reading = client({ tokenFile });
  expect(await errorOf(reading.threads.listThreads({}))).toBeInstanceOf(AccessDenied);
  writeFileSync(tokenFile, `${await server.adminKey()}\n`);
  await reading.threads.listThreads({});
  rmSync(tokenFile);
  expect(await errorOf(reading.threads.listThreads({}))).toBeInstanceOf(InvalidRequest);
});

test("a token is not sent where others can read it", () => {
  const target = "checkpoints.internal:50051";
  expect(() => new Client(target, { token: "secret" })).toThrow(/would be sent where others can read it/);
  for (const options of [{ plaintext: true }, { tls: true }])
    new Client(target, { token: "secret", ...options }).close();
});

test.each([{ token: "a b" }, { token: "" }, { token: "a", tokenFile: "b" }])("what makes no sense: %o", (options) => {
  expect(() => new Client("127.0.0.1:1", options)).toThrow(InvalidRequest);
});

test("the environment says what is not given", () => {
  const environment = { CHECKPOINTD_TOKEN: "a", CHECKPOINTD_TLS: "1" };
  expect(withEnvironment({ tenant: "t" }, environment)).toEqual({
    tenant: "t",
    token: "a",
    tls: true,
    plaintext: false,
  });
  expect(withEnvironment({ token: "b" }, environment)).toEqual({ token: "b" });
  expect(() => withEnvironment({}, { CHECKPOINTD_TLS: "perhaps" })).toThrow(/CHECKPOINTD_TLS/);
  expect(() => withEnvironment({}, { CHECKPOINTD_CA_FILE: "/nothing" })).toThrow(/CHECKPOINTD_CA_FILE/);
  expect(() => withEnvironment({}, { CHECKPOINTD_CERT_FILE: "/nothing" })).toThrow(/give both/);
});
