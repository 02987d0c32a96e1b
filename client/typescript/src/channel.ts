/** The HTTP/2 connection of a client: opened by the first call and, when it breaks, by the next one. */
import {
  connect,
  type ClientHttp2Session,
  type ClientHttp2Stream,
  type OutgoingHttpHeaders,
  type SecureClientSessionOptions,
} from "node:http2";

// Milliseconds. A connection that died without a word (a pulled cable, a NAT that forgot) is noticed, in use or idle.
const PING_EVERY = 20_000;
const PONG_WITHIN = 10_000;

// Milliseconds. How long a server that could not be reached is passed over while there are others.
const PASSED_OVER = 1_000;

/** One of the servers, and the connection to it on which new streams begin. */
interface Place {
  /** Scheme, host and port, as a URL's `origin` has them. */
  readonly authority: string;
  connection: { session: ClientHttp2Session; streams: number } | undefined;
  /** Until then, by `performance.now()`, others come first. */
  passedOverUntil: number;
}

/**
 * What Connect's HTTP client needs of a connection (its NodeHttp2ClientSessionManager), to one server or to several by turns.
 * Connect's own implementation stops to listen for the errors of a connection before it is closed, so that a peer that says
 * nonsense ends the process.
 */
export class Channel {
  private readonly places: Place[];
  private turn = 0;
  /** Those that are not closed: the server may have asked for no new streams on some of them. */
  private readonly sessions = new Set<ClientHttp2Session>();

  /**
   * @param authorities scheme, host and port of each server, as a URL's `origin` has them; at least one
   * @param tls what Node.js is told of TLS
   */
  constructor(
    authorities: readonly [string, ...string[]],
    private readonly tls: SecureClientSessionOptions | undefined,
  ) {
    this.places = authorities.map((authority) => ({ authority, connection: undefined, passedOverUntil: 0 }));
    this.authority = authorities[0];
  }

  /** The first server's. Requests go to any. */
  readonly authority: string;

  /** Begins a request. A failure of the connection is one of the stream. */
  async request(method: string, path: string, headers: OutgoingHttpHeaders): Promise<ClientHttp2Stream> {
    const connection = this.open(this.next());
    const { session } = connection;
    const stream = session.request({ ...headers, ":method": method, ":path": path });
    // A connection without streams lets the process end.
    connection.streams += 1;
    session.ref();
    stream.once("close", () => {
      connection.streams -= 1;
      if (connection.streams === 0) session.unref();
    });
    return stream;
  }

  /** Nothing is to be done: pings tell whether the connection is alive. */
  notifyResponseByteRead(): void {}

  /** Ends all streams with this error. The next request opens a new connection. */
  close(error: Error): void {
    for (const session of this.sessions) session.destroy(error);
    for (const place of this.places) place.connection = undefined;
  }

  /** The server whose turn it is: of those that are not passed over, or of all. */
  private next(): Place {
    const now = performance.now();
    const after = this.places.map((_, step) => this.places[(this.turn + step) % this.places.length] as Place);
    const chosen = after.find(({ passedOverUntil }) => passedOverUntil <= now) ?? (after[0] as Place);
    this.turn = (this.places.indexOf(chosen) + 1) % this.places.length;
    return chosen;
  }

  private open(place: Place): { session: ClientHttp2Session; streams: number } {
    const known = place.connection;
    if (known !== undefined && !known.session.closed && !known.session.destroyed) return known;
    const session = connect(place.authority, this.tls);
    const connection = { session, streams: 0 };
    const forget = () => {
      if (place.connection === connection) place.connection = undefined;
    };
    const passOver = () => {
      place.passedOverUntil = performance.now() + PASSED_OVER;
    };
    session.on("error", passOver); // its streams have it too, and they are listened to
    session.on("goaway", () => {
      forget(); // its streams may end, but no new ones begin
      passOver();
    });
    session.on("close", () => {
      forget();
      this.sessions.delete(session);
    });
    session.once("connect", () => ping(session));
    this.sessions.add(session);
    place.connection = connection;
    return connection;
  }
}

/** Ends a connection on which a ping is not answered. */
function ping(session: ClientHttp2Session): void {
  const every = setInterval(() => {
    if (session.destroyed) return;
    const alarm = setTimeout(() => session.destroy(new LostConnection()), PONG_WITHIN).unref();
    session.ping(() => clearTimeout(alarm));
  }, PING_EVERY).unref();
  session.once("close", () => clearInterval(every));
}

class LostConnection extends Error {
  readonly code = "ETIMEDOUT";

  constructor() {
    super("the connection was lost: a ping was not answered");
  }
}
