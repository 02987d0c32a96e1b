"""Tasks of LangGraph.js that were given to tasks of Python's on a supposition: that no trigger of a node is unknown."""

from collections import OrderedDict

from checkpointd.client.errors import UnknownTask
from checkpointd.client.langgraph.bridge.ids import PULL
from checkpointd.client.langgraph.configs import Place

# How many checkpoints to remember.
_MOST = 1_000

_PATH = f"~{PULL}, "


class Supposed:
    """What was supposed of which checkpoint. May be used from any thread."""

    def __init__(self) -> None:
        self._ids: OrderedDict[Place, dict[str, str]] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether anything was supposed."""
        return bool(self._ids)

    def remember(self, place: Place, node: str, task_id: str) -> None:
        """This is supposed to be the id of the node's task."""
        self._ids.setdefault(place, {})[node] = task_id
        if len(self._ids) > _MOST:
            self._ids.popitem(last=False)

    def check(self, place: Place, task_id: str, task_path: str) -> None:
        """A task is about to store its writes. Raises UnknownTask when it is not the one that was supposed."""
        if not task_path.startswith(_PATH):
            return
        node = task_path.removeprefix(_PATH)
        if self._ids.get(place, {}).get(node, task_id) != task_id:
            raise UnknownTask(
                f"LangGraph.js worked on node {node!r} of this checkpoint, which has triggers that its channels do not "
                "show; nothing was stored",
                metadata={"task_id": task_id, "node": node},
                advice="let the saver know the graph, saver.register(graph), and run it again",
            )
