"""`checkpointd serve`: run the server until it is told to stop."""

import asyncio
import logging
import signal
import sys

import uvloop

from checkpointd.engine.errors import StartupError
from checkpointd.server.address import ListenError
from checkpointd.server.config import Config, describe
from checkpointd.server.embedded import EmbeddedPostgresError
from checkpointd.server.identity.config import IdentityError
from checkpointd.server.monitoring import logs
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
    logs.set_up(config.log_level, config.log_format)
    try:
        uvloop.run(_serve(config))
        # All has stopped; another Ctrl-C has nothing left to end, and shall not look like a failure.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    except (StartupError, EmbeddedPostgresError, ListenError, IdentityError) as error:
        print(f"checkpointd: {error}", file=sys.stderr)
        return 1
    return 0


async def _serve(config: Config) -> None:
    told, told_again = asyncio.Event(), asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell() -> None:
        (told_again if told.is_set() else told).set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, tell)
    _log.debug("settings: %s", ", ".join(describe(config)))
    service = Service(config)
    if not await _start(service, told):
        _log.info("stopped while starting")
        return
    embedded = config.database_url is None
    database = f" and its PostgreSQL; its data stays in {config.data_dir}" if embedded else ""
    print(_WELCOME.format(address=service.address, database=database), flush=True)
    await told.wait()
    _log.info("stopping: waiting for running calls, at most %g s; Ctrl-C again cuts them off", config.drain_timeout)
    stopping = asyncio.create_task(service.stop())
    if not await _first(stopping, told_again):
        _log.info("told again: cutting off the calls that still run")
        await service.cut_off()
    await stopping
    _log.info("stopped")


async def _start(service: Service, told: asyncio.Event) -> bool:
    """Start the service; False if we are told to stop before it is there, and then all has stopped again."""
    starting = asyncio.create_task(service.start())
    if await _first(starting, told):
        await starting
        return True
    starting.cancel()
    await asyncio.wait([starting])
    if starting.cancelled():
        return False
    await starting  # it was just done, or has failed
    await service.stop()
    return False


async def _first(task: "asyncio.Task[None]", event: asyncio.Event) -> bool:
    """Wait until the task is done or the event is set; whether the task is done."""
    waiting = asyncio.create_task(event.wait())
    await asyncio.wait((task, waiting), return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    return task.done()
