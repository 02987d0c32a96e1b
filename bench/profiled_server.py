"""`checkpointd serve` under a profiler: the same command, which leaves its profile in the file named first.

The event loop's thread is profiled, by the CPU time that it used: all of our Python runs in it. gRPC's own threads are
C, and are counted by the operating system only.
"""

import cProfile
import sys
import time

from checkpointd.cli.main import main


def run() -> int:
    """Run the command that follows the file's name."""
    file = sys.argv.pop(1)
    profile = cProfile.Profile(time.thread_time)
    try:
        return int(profile.runcall(main))
    finally:
        profile.dump_stats(file)


if __name__ == "__main__":
    sys.exit(run())
