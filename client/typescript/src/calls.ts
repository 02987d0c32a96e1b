/** The services of the contract, called with retries, a timeout and the errors of this package. */
import { randomUUID } from "node:crypto";

import { create, type DescMessage, type DescMethod, type DescService, type MessageInitShape } from "@bufbuild/protobuf";
import { createClient, type CallOptions } from "@connectrpc/connect";

import type { Connection } from "./connection.js";
import { each, type Open } from "./listing.js";
import { Attempts } from "./retry.js";
import type { Calls, OneCall } from "./services.js";
import { Status } from "./status.js";

type Make = (request: unknown, options: CallOptions) => Promise<unknown>;

/** The calls of a service on a connection. A request that can be named, to be carried out once, is named. */
export function callsOf<S extends DescService>(connection: Connection, service: S): Calls<S> {
  const client = createClient(service, connection.transport) as unknown as Record<string, unknown>;
  const calls: Record<string, unknown> = {};
  for (const method of service.methods) {
    const make = client[method.localName];
    if (method.methodKind === "unary") {
      calls[method.localName] = (request: MessageInitShape<DescMessage>, options?: OneCall) =>
        once(connection, make as Make, named(method, request), options);
    } else if (method.methodKind === "server_streaming") {
      calls[method.localName] = (request: MessageInitShape<DescMessage>, options?: OneCall) =>
        each(connection, make as Open, method, create(method.input, request), options);
    }
  }
  return calls as Calls<S>;
}

async function once(connection: Connection, make: Make, request: unknown, options: OneCall = {}): Promise<unknown> {
  const attempts = new Attempts(connection, options);
  const { signal } = options;
  for (;;) {
    attempts.check();
    const headers = await connection.headers();
    let status: Status;
    try {
      return await make(request, {
        headers,
        timeoutMs: attempts.timeLeft(),
        ...(signal ? { signal } : {}),
      });
    } catch (failure) {
      status = new Status(failure);
    }
    await attempts.pauseAfter(status);
  }
}

/** A request with a name that no other one has, where the contract has a place for it. */
function named(method: DescMethod, request: MessageInitShape<DescMessage>): unknown {
  const field = method.input.fields.find(({ name }) => name === "request_id");
  if (field === undefined || (request as { requestId?: string }).requestId) return request;
  return { ...request, requestId: randomUUID() };
}
