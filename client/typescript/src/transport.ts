/** gRPC over HTTP/2, by Node.js. */
import type { Transport } from "@connectrpc/connect";
import { createNodeHttpClient } from "@connectrpc/connect-node";
import { createTransport } from "@connectrpc/connect/protocol-grpc";

import type { Channel } from "./channel.js";

// Bytes. Node.js does not hear what a server answers in the middle of one large write, such as that it is too large.
const PIECE = 1 << 20;

// Bytes; what protobuf takes. The server's limit is the one that counts; it says what it is.
const NO_LIMIT = 0xffff_ffff;

/** The transport on a channel. */
export function transportOn(channel: Channel): Transport {
  const send = createNodeHttpClient({ httpVersion: "2", sessionProvider: () => channel });
  return createTransport({
    baseUrl: channel.authority,
    httpClient: (request) => send(request.body === undefined ? request : { ...request, body: pieces(request.body) }),
    useBinaryFormat: true,
    interceptors: [],
    acceptCompression: [],
    sendCompression: null,
    compressMinBytes: NO_LIMIT,
    readMaxBytes: NO_LIMIT,
    writeMaxBytes: NO_LIMIT,
  });
}

async function* pieces(body: AsyncIterable<Uint8Array>): AsyncGenerator<Uint8Array, void, undefined> {
  for await (const chunk of body) {
    for (let start = 0; start < chunk.length; start += PIECE) yield chunk.subarray(start, start + PIECE);
  }
}
