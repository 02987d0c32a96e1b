"""The primary PostgreSQL is killed under load and its standby promoted: everything acknowledged is there, and servers
and clients go on by themselves.

`python -m tests.ha.failover` prints what it found (`make failover`).
"""

import argparse
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.ha.load import Load
from tests.ha.replicated import replicated_postgres
from tests.ha.rolling import free_ports
from tests.server_process import ServerProcess


class Failover(NamedTuple):
    """What was seen."""

    before: int  # ops that were acknowledged before the primary was killed
    ops: int
    failed: list[str]
    wrong: list[str]
    away: float  # seconds from the kill until an op was acknowledged by the promoted one


def fail_over(home: Path, *, servers: int, clients: int, ops: int = 100) -> Failover:
    """Kill the primary while `clients` of each kind work on so many servers, between so many ops and as many more."""
    with replicated_postgres() as postgres, ExitStack() as stack:
        ports = free_ports(servers)
        running = [
            stack.enter_context(
                ServerProcess(
                    home / f"server-{port}.log", "--database-url", postgres.database_url, listen=f"127.0.0.1:{port}"
                )
            )
            for port in ports
        ]
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        with Load(target, count=clients, timeout=120) as load:
            load.go_on(ops)
            before = load.total
            killed_at = time.monotonic()
            postgres.fail_over()
            at_promotion = load.total
            while load.total == at_promotion and not load.failed:
                time.sleep(0.005)  # nothing tells; this is what is measured
            away = time.monotonic() - killed_at
            load.go_on(ops)
        wrong = [problem for server in running for problem in load.wrong(server.address)]
        return Failover(before, load.total, load.failed, wrong, away)


def main() -> int:
    """Print what a run finds; the exit code says whether it is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=2)
    parser.add_argument("--clients", type=int, default=4, help="of each of three kinds")
    parser.add_argument("--ops", type=int, default=2000, help="before the primary is killed, and after it")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        seen = fail_over(Path(home), servers=options.servers, clients=options.clients, ops=options.ops)
    sys.stdout.write(
        f"{seen.ops:,} ops of {3 * options.clients} clients acknowledged by {options.servers} servers, "
        f"{seen.before:,} of them before the primary was killed\n"
        f"failed: {len(seen.failed)}, lost or done twice: {len(seen.wrong)}, "
        f"without an answer for {seen.away:.2f} s\n"
    )
    for problem in (*seen.failed, *seen.wrong):
        sys.stdout.write(f"{problem}\n")
    return 1 if seen.failed or seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
