"""Counts of calls. Plain numbers, which a scrape reads; nothing here waits or locks."""

import time
from collections import defaultdict

from checkpointd.engine.tally import SECONDS, Histogram


class Meter:
    """What was called since the start, by rpc."""

    def __init__(self) -> None:
        # By rpc, how it came ("call" or "session"), and code.
        self.seconds: defaultdict[tuple[str, str, str], Histogram] = defaultdict(lambda: Histogram(SECONDS))
        self.in_progress: defaultdict[str, int] = defaultdict(int)
        self.request_bytes: defaultdict[str, int] = defaultdict(int)
        self.response_bytes: defaultdict[str, int] = defaultdict(int)
        self.started_at = time.time()
