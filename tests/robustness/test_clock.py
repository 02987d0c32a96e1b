"""A client's wall clock goes where the nemesis puts it, and its calls end in time all the same."""

import subprocess
import sys
import time
from pathlib import Path

from tests.robustness.clock import Panel

_HOURS = 5 * 3600

_CLIENT = """
import re, sys, time
from pathlib import Path
from tests.robustness.clock import Panel, install

panel = Panel(Path(sys.argv[1]))
install(panel)

from checkpointd.client import Client, Unavailable

tried = 0
try:
    Client("127.0.0.1:1", timeout=1).get_thread(thread_id="t")
except Unavailable as error:
    tried = int(re.search("([0-9]+) attempts in", str(error))[1])
print(time.time(), time.time_ns(), tried)
panel.set("offset", 0)
print(time.time())
"""


def test_a_clock_is_set_back(tmp_path: Path) -> None:
    path = tmp_path / "panel"
    panel = Panel(path)
    panel.set("offset", -_HOURS * 10**9)
    client = subprocess.run(
        [sys.executable, "-c", _CLIENT, str(path)], check=True, capture_output=True, text=True, timeout=60
    )
    seconds, nanoseconds, tried, mended = map(float, client.stdout.split())
    now = time.time()
    assert abs(now - _HOURS - seconds) < 60
    assert abs(now - _HOURS - nanoseconds / 1e9) < 60
    assert abs(now - mended) < 60
    # By the stepped clock every deadline would have passed before the first attempt, or be hours away.
    assert tried > 1


def test_a_panel_counts(tmp_path: Path) -> None:
    ours, theirs = Panel(tmp_path / "panel"), Panel(tmp_path / "panel")
    ours.add("ops", 3)
    ours.add("ops", 4)
    assert (theirs.get("ops"), theirs.get("refused"), theirs.get("offset")) == (7, 0, 0)
