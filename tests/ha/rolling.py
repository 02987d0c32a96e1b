"""Servers that are restarted one after another under load: no call fails, and nothing is lost or done twice.

`python -m tests.ha.rolling` prints what it found (`make rolling`).
"""

import argparse
import socket
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

from tests.ha.load import Load
from tests.postgres import running_postgres
from tests.server_process import ServerProcess


class Restarts(NamedTuple):
    """What was seen."""

    servers: int
    restarts: int
    ops: int
    failed: list[str]
    wrong: list[str]
    slowest: float  # seconds
    seconds: float


def free_ports(number: int) -> list[int]:
    """Ports that nobody has, below those that systems give to outgoing connections."""
    found = []
    with ExitStack() as stack:
        for port in range(21_000, 32_000):
            attempt = stack.enter_context(socket.socket())
            try:
                attempt.bind(("127.0.0.1", port))
            except OSError:
                continue
            found.append(port)
            if len(found) == number:
                break
    return found


def restart(database_url: str, home: Path, *, servers: int, rounds: int, clients: int) -> Restarts:
    """Restart each server `rounds` times, while `clients` of each kind work."""
    began = time.monotonic()
    ports = free_ports(servers)
    with ExitStack() as stack:

        def start(number: int) -> ServerProcess:
            log = home / f"server-{number}.log"
            return ServerProcess(log, "--database-url", database_url, listen=f"127.0.0.1:{ports[number]}")

        running = {number: start(number) for number in range(servers)}
        stack.callback(lambda: [server.stop() for server in running.values()])
        target = "ipv4:" + ",".join(f"127.0.0.1:{port}" for port in ports)
        with Load(target, count=clients) as load:
            load.go_on()
            for _ in range(rounds):
                for number in range(servers):
                    assert running[number].stop() == 0
                    running[number] = start(number)
                    load.go_on()
        wrong = load.wrong(running[0].address)
    return Restarts(servers, servers * rounds, load.total, load.failed, wrong, load.slowest, time.monotonic() - began)


def main() -> int:
    """Print what a run finds; the exit code says whether it is as it should be."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--clients", type=int, default=4, help="of each of three kinds")
    options = parser.parse_args()
    with running_postgres() as postgres, tempfile.TemporaryDirectory() as home:
        url = postgres.create_database()
        seen = restart(url, Path(home), servers=options.servers, rounds=options.rounds, clients=options.clients)
    sys.stdout.write(
        f"{seen.restarts} restarts of {seen.servers} servers in {seen.seconds:.0f} s, "
        f"{seen.ops:,} ops of {3 * options.clients} clients acknowledged\n"
        f"failed: {len(seen.failed)}, lost or done twice: {len(seen.wrong)}, slowest: {seen.slowest:.2f} s\n"
    )
    for problem in (*seen.failed, *seen.wrong):
        sys.stdout.write(f"{problem}\n")
    return 1 if seen.failed or seen.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
