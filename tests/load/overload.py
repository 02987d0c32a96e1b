"""Ten times as many callers as a server can serve: `make overload`, or `python -m tests.load.overload`.

It prints what was accepted and refused, how long what was accepted took beside what it takes at capacity, and the
server's memory. It ends with 1 if something that was acknowledged is lost, or something is answered that is neither.
"""

import argparse
import sys
import tempfile
from pathlib import Path

from tests.load.phase import Seen, lost, phase
from tests.postgres import running_postgres
from tests.server_process import ServerProcess

_TIMES = 10
_MIB = 1 << 20


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--seconds", type=float, default=6.0, help="of each phase; there are seven, at most 60 s together"
    )
    parser.add_argument("--in-flight", type=int, default=64, help="the server's --max-in-flight, and so its capacity")
    options = parser.parse_args()
    seconds, capacity = min(options.seconds, 8.0), options.in_flight
    print(f"server with --max-in-flight {capacity}; {_TIMES} times as many callers; {seconds:g} s each phase\n")
    print(
        f"{'':28}{'offered/s':>10}{'accepted/s':>11}{'p50 ms':>8}{'p99 ms':>8}{'ratios':>12}"
        f"{'waited p50 s':>13}{'MiB':>6}"
    )
    good = True
    with running_postgres() as postgres, tempfile.TemporaryDirectory() as home:
        arguments = ("--database-url", postgres.create_database(), "--max-in-flight", str(capacity))
        with ServerProcess(Path(home) / "log", *arguments) as server:

            def measure(title: str, name: str, callers: int, carrier: str, *, heeds: bool = True) -> Seen:
                nonlocal good
                seen = phase(server, name, callers=callers, seconds=seconds, carrier=carrier, heeds=heeds)
                wrong = [*seen.done.failed[:3], *map(str, lost(server, seen).most_common(3))]
                good = good and not wrong
                _print(title, seen, base.get(carrier))
                for problem in wrong:
                    print(f"    WRONG: {problem}")
                return seen

            base: dict[str, Seen] = {}
            measure("one caller", "one", 1, "session")
            for carrier in ("session", "call"):
                what = "sessions" if carrier == "session" else "calls"
                base[carrier] = measure(f"{what}, at capacity", f"at-{carrier}", capacity, carrier)
                measure(f"{what}, {_TIMES} times", f"over-{carrier}", _TIMES * capacity, carrier)
                measure(f"{what}, {_TIMES} times, rude", f"rude-{carrier}", _TIMES * capacity, carrier, heeds=False)
    print(
        "\nratios: p50 and p99 beside those at capacity. rude: callers that don't heed the delay and ask again at once."
    )
    print("nothing that was acknowledged is lost" if good else "WRONG: see above")
    return 0 if good else 1


def _print(title: str, seen: Seen, base: Seen | None) -> None:
    offered = (seen.accepted + seen.done.refused) / seen.seconds
    ratios = f"{seen.took(0.5) / base.took(0.5):.1f} {seen.took(0.99) / base.took(0.99):.1f}" if base else ""
    print(
        f"{title:28}{offered:10.0f}{seen.accepted / seen.seconds:11.0f}{1000 * seen.took(0.5):8.1f}"
        f"{1000 * seen.took(0.99):8.1f}{ratios:>12}{seen.waited(0.5):13.3f}{seen.most_memory / _MIB:6.0f}",
        flush=True,
    )


if __name__ == "__main__":
    sys.exit(main())
