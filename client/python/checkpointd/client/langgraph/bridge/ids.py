"""The ids of tasks and interrupts, as LangGraph for Python and as LangGraph.js make them."""

import json
import uuid

from xxhash import xxh3_128_hexdigest

PULL = "__pregel_pull"
PUSH = "__pregel_push"

LEVEL = "|"


def python_task_id(checkpoint_id: uuid.UUID, checkpoint_ns: str, step: int, name: str, *parts: str) -> str:
    """LangGraph's for Python: XXH3-128 over the parts (langgraph.pregel._algo._xxhash_str)."""
    text = "".join((below(checkpoint_ns, name), str(step), name, *parts))
    return str(uuid.UUID(xxh3_128_hexdigest(checkpoint_id.bytes + text.encode())))


def js_task_id(
    checkpoint_id: uuid.UUID, checkpoint_ns: str, step: int, name: str, kind: str, last: str | list[str]
) -> str:
    """LangGraph.js's: a UUID of version 5 over the parts as JSON (pregel/algo.js, _prepareSingleTask)."""
    parts = [below(checkpoint_ns, name), str(step), name, kind, last]
    return str(uuid.uuid5(checkpoint_id, json.dumps(parts, ensure_ascii=False, separators=(",", ":"))))


def may_be_js(task_id: str) -> bool:
    """Whether a task's id has the form of LangGraph.js's. One in 64 of Python's has it too."""
    return len(task_id) == 36 and task_id[14] == "5" and task_id[19] in "89ab"


def interrupt_id(task_ns: str) -> str:
    """That of a task's first interrupt: in LangGraph.js that of all, and one which Python always takes."""
    return xxh3_128_hexdigest(task_ns.encode())


def below(checkpoint_ns: str, part: str) -> str:
    """The namespace one level below."""
    return f"{checkpoint_ns}{LEVEL}{part}" if checkpoint_ns else part


def task_ns(checkpoint_ns: str, name: str, task_id: str) -> str:
    """The namespace of the graph that a task calls."""
    return below(checkpoint_ns, f"{name}:{task_id}")


def parent_ns(checkpoint_ns: str) -> str:
    """The namespace one level above; "" for that of the root graph."""
    return checkpoint_ns.rpartition(LEVEL)[0]


def of_call(checkpoint_ns: str) -> str:
    """A namespace without the numbers at its end, which count the calls that one task makes."""
    while checkpoint_ns.rpartition(LEVEL)[2].isdigit():
        checkpoint_ns = parent_ns(checkpoint_ns)
    return checkpoint_ns
