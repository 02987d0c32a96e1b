"""`checkpointd serve` under a profiler: the same command, which leaves its profile in the file named first.

It is profiled from a signal on, without its start. The event loop's thread is profiled, by the CPU time that it uses:
all of our Python runs in it. gRPC's own threads are C, and are counted by the operating system only.
"""

import cProfile
import signal
import sys
import time
from types import FrameType

from checkpointd.cli.main import main

START = signal.SIGUSR1


def run() -> int:
    """Run the command that follows the file's name."""
    file = sys.argv.pop(1)
    profile = cProfile.Profile(time.thread_time)

    def start(number: int, frame: FrameType | None) -> None:
        profile.enable()

    signal.signal(START, start)
    try:
        return main()
    finally:
        profile.disable()
        profile.dump_stats(file)


if __name__ == "__main__":
    sys.exit(run())
