"""The log: lines for people, or JSON for programs; each with the call that it is about."""

import json
import logging
import sys
import time
from typing import Any

import grpc

from checkpointd.server.monitoring.calls import current_call

# What a record has by itself; all else was given by who logged it.
_USUAL = set(vars(logging.makeLogRecord({}))) | {"message", "asctime", "rpc", "request_id", "peer", "taskName"}


def set_up(level: str, style: str) -> None:
    """Log on the standard error."""
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_about_its_call)
    handler.setFormatter(_Json() if style == "json" else _Text())
    logging.basicConfig(level=level.upper(), handlers=[handler])
    # Its warnings repeat, each second and connection, what the engine logs once.
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    for name in ("grpc._cython.cygrpc", "asyncio"):
        logging.getLogger(name).addFilter(_is_our_concern)


def _about_its_call(record: logging.LogRecord) -> bool:
    call = current_call()
    if call is not None:
        vars(record).update(call.told())
    return True


def _is_our_concern(record: logging.LogRecord) -> bool:
    """gRPC logs, with a traceback, that a client went away in the middle of an answer or sent what is not UTF-8. Those
    are no errors of the server's."""
    return not (record.exc_info and isinstance(record.exc_info[1], grpc.aio.InternalError | UnicodeDecodeError))


class _Text(logging.Formatter):
    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")

    def formatMessage(self, record: logging.LogRecord) -> str:
        line = super().formatMessage(record)
        request_id = getattr(record, "request_id", None)
        return line if request_id is None else f"{line} [{record.__dict__['rpc']} {request_id}]"


class _Json(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        document: dict[str, Any] = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(record.created)) + f".{record.msecs:03.0f}Z",
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        for name in ("rpc", "request_id", "peer"):
            if (value := getattr(record, name, None)) is not None:
                document[name] = value
        document |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            document["exception"] = self.formatException(record.exc_info)
        return json.dumps(document, default=str)
