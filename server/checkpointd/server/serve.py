"""`checkpointd serve`: run the server until it is told to stop."""

import asyncio
import logging
import signal
import sys

import grpc
import uvloop

from checkpointd.engine.errors import StartupError
from checkpointd.server.config import Config, describe
from checkpointd.server.embedded import EmbeddedPostgresError
from checkpointd.server.endpoint import ListenError
from checkpointd.server.service import Service

_log = logging.getLogger(__name__)

_WELCOME = """\
checkpointd listening on {address}

Connect a LangGraph graph to it:

    from checkpointd.client.langgraph import RemoteSaver

    saver = RemoteSaver("{address}")
    graph = builder.compile(checkpointer=saver)
    graph.invoke(inputs, {{"configurable": {{"thread_id": "1"}}}})

Ctrl-C stops the server{database}."""


def run(config: Config) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit code."""
    logging.basicConfig(
        level=config.log_level.upper(), stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    # Its warnings repeat, each second and connection, what the engine logs once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    for name in ("grpc._cython.cygrpc", "asyncio"):
        logging.getLogger(name).addFilter(_is_our_concern)
    try:
        uvloop.run(_serve(config))
    except (StartupError, EmbeddedPostgresError, ListenError) as error:
        print(f"checkpointd: {error}", file=sys.stderr)
        return 1
    return 0


def _is_our_concern(record: logging.LogRecord) -> bool:
    """gRPC logs, with a traceback, that a client went away in the middle of an answer or sent what is not UTF-8. Those
    are no errors of the server's."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError | UnicodeDecodeError))


async def _serve(config: Config) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    _log.debug("settings: %s", ", ".join(describe(config)))
    service = Service(config)
    starting = asyncio.create_task(service.start())
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait((starting, stopping), return_when=asyncio.FIRST_COMPLETED)
    # Told to stop while starting: finish the start, so that there is something whole to stop.
    await starting
    embedded = config.database_url is None
    database = f" and its PostgreSQL; its data stays in {config.data_dir}" if embedded else ""
    print(_WELCOME.format(address=service.address, database=database), flush=True)
    await stopping
    _log.info("stopping: answering what was accepted, for at most %g s", config.drain_timeout)
    await service.stop()
    _log.info("stopped")
