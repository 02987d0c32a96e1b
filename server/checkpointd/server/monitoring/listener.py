"""A small HTTP listener of its own: /metrics, /healthz (the process lives), /readyz (it can serve)."""

import logging
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder

from checkpointd.engine.readiness import Readiness

_log = logging.getLogger(__name__)

_TEXT = "text/plain; charset=utf-8"

# Seconds that a client may take to send its request.
_PATIENCE = 5.0


class Listener:
    """Listens in threads of its own, so that it answers also while the server's loop is busy."""

    def __init__(self, address: str, registry: CollectorRegistry, readiness: Readiness) -> None:
        """Raises OSError when the address can't be had."""
        host, _, port = address.rpartition(":")
        host = host.removeprefix("[").removesuffix("]")
        self._stopping = False

        class Handler(_Handler):
            def answer(handler) -> tuple[int, str, bytes]:
                return self._answer(handler.path, handler.headers.get("Accept", ""))

        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        server_kind = type("Server", (ThreadingHTTPServer,), {"address_family": family, "daemon_threads": True})
        self._registry = registry
        self._readiness = readiness
        self._server: ThreadingHTTPServer = server_kind((host, int(port)), Handler)
        self.address = f"{address.rpartition(':')[0]}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, name="checkpointd-metrics", daemon=True)
        self._thread.start()
        _log.info("metrics are at http://%s/metrics", self.address)

    def stopping(self) -> None:
        """The server takes no more calls, so it is not ready any more."""
        self._stopping = True

    def stop(self) -> None:
        """Listen no longer. Blocks for a moment."""
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, path: str, accepted: str) -> tuple[int, str, bytes]:
        match path.partition("?")[0]:
            case "/metrics":
                encode, kind = choose_encoder(accepted)
                return 200, kind, encode(self._registry)
            case "/healthz":
                return 200, _TEXT, b"alive\n"
            case "/readyz":
                problem = "stopping" if self._stopping else self._readiness.problem
                return (200, _TEXT, b"ready\n") if problem is None else (503, _TEXT, f"{problem}\n".encode())
        return 404, _TEXT, b"there are /metrics, /healthz and /readyz\n"


class _Handler(BaseHTTPRequestHandler):
    timeout = _PATIENCE
    server_version = "checkpointd"
    sys_version = ""

    def answer(self) -> tuple[int, str, bytes]:
        raise NotImplementedError

    def do_GET(self) -> None:
        status, kind, body = self.answer()
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET

    def log_message(self, format: str, *arguments: Any) -> None:
        _log.debug(format, *arguments)
