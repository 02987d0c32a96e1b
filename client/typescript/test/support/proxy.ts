/** A proxy on loopback, through which a test makes a network fail. */
import { once } from "node:events";
import { createServer, connect, type AddressInfo, type Server, type Socket } from "node:net";
import { createServer as createTlsServer, type TlsOptions } from "node:tls";

/** Passes bytes both ways between its clients and one upstream. */
export class Proxy {
  private readonly sockets = new Set<Socket>();
  private server: Server;
  private port = 0;
  private isHeld = false;
  /** How many connections were made. */
  accepted = 0;
  /** Called with what upstream sends, before it is passed on. */
  onAnswer: (chunk: Buffer) => void = () => undefined;

  private constructor(
    private readonly upstream: string,
    tls: TlsOptions | undefined,
  ) {
    const take = (client: Socket) => {
      this.join(client);
    };
    this.server = tls === undefined ? createServer(take) : createTlsServer(tls, take);
  }

  static async start(upstream: string, tls?: TlsOptions): Promise<Proxy> {
    const proxy = new Proxy(upstream, tls);
    await proxy.accept();
    return proxy;
  }

  get address(): string {
    return `127.0.0.1:${this.port}`;
  }

  /** Accepts connections, on the same port as before. */
  async accept(): Promise<void> {
    this.server.listen(this.port, "127.0.0.1");
    await once(this.server, "listening");
    this.port = (this.server.address() as AddressInfo).port;
  }

  /** Refuses new connections, and breaks those that are open. */
  async refuse(): Promise<void> {
    const closed = once(this.server, "close");
    this.server.close();
    this.cut();
    await closed;
  }

  /** Breaks all connections that are open now. */
  cut(): void {
    for (const socket of this.sockets) socket.destroy();
  }

  /** Passes nothing on from now, as a network that swallows everything. */
  hold(): void {
    this.isHeld = true;
    for (const socket of this.sockets) socket.pause();
  }

  private join(client: Socket): void {
    this.accepted += 1;
    const [host, port] = this.upstream.split(":");
    const server = connect(Number(port), host);
    for (const [socket, other] of [
      [client, server],
      [server, client],
    ] as const) {
      this.sockets.add(socket);
      socket.on("data", (chunk: Buffer) => {
        if (socket === server) this.onAnswer(chunk);
        other.write(chunk);
      });
      socket.on("error", () => other.destroy());
      socket.on("close", () => {
        this.sockets.delete(socket);
        other.destroy();
      });
      if (this.isHeld) socket.pause();
    }
  }
}
