"""`make bench`: everything that is measured, one table. `python -m bench --help` says what can be chosen."""

import argparse
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from bench import chat, connections, cpu, encodings, floor, graphs, history, large, reads, supersteps, table
from bench.pairs import FULL, QUICK, Disk, say
from bench.row import Row
from bench.sides import Bench, running

MEASUREMENTS: dict[str, Callable[[Bench], Iterator[Row]]] = {
    "client": supersteps.one_client,
    "processes": supersteps.many_processes,
    "servers": supersteps.several_servers,
    "threads": supersteps.shared_saver,
    "invoke": graphs.invokes,
    "ainvoke": graphs.ainvokes,
    "latency": supersteps.put_latency,
    "thousand": connections.thousand,
    "chat": chat.chat,
    "state": reads.heads,
    "list": reads.listing,
    "large": large.large,
    "encodings": encodings.encodings,
    "cpu": cpu.cpu,
    "floor": floor.floor,
}


def main() -> int:
    """Measure, print, keep. Fails when a measurement failed; a target that is missed is no failure of ours."""
    options = _options()
    effort = QUICK if options.quick else FULL
    chosen = options.rows or list(MEASUREMENTS)
    logging.getLogger("psycopg.pool").setLevel(logging.ERROR)
    rows: list[Row] = []
    before = history.last(options.out, quick=options.quick)
    began = time.monotonic()
    with running(effort) as started:
        facts = history.facts(started.postgres.conninfo, quick=options.quick)  # now: it may be worked on meanwhile
        disk = Disk(lambda: floor.commit_ms(started.postgres.conninfo))
        bench = replace(started, effort=replace(effort, disk=disk))
        for name in chosen:
            say(f"{name} ... (a commit takes {disk.look():.2f} ms now)")
            start = time.monotonic()
            found = _measured(name, bench)
            rows += found
            say(f"{name}: {time.monotonic() - start:.0f} s\n{table.as_text(found, before)}")
    facts["seconds"] = round(time.monotonic() - began)
    print(f"\n{table.as_text(rows, before)}\n\n{table.as_markdown(rows)}\n\n{table.summary(rows, disk.quickest)}")
    for row in rows:
        if row.error:
            print(f"\n{row.name} failed:\n{row.error}")
    if options.out or not options.rows:
        kept = history.keep(rows, facts, options.out)
        print(f"\nkept in {', '.join(map(str, kept))}")
    return 1 if any(row.error for row in rows) else 0


def _measured(name: str, bench: Bench) -> list[Row]:
    """The rows of a measurement. One that fails ends with a row that says so, and the others go on."""
    rows: list[Row] = []
    commit: float | None = None
    try:
        for row in MEASUREMENTS[name](bench):
            commit = bench.effort.disk.since() or commit
            rows.append(replace(row, commit_ms=commit))  # those before a failure count
    except Exception:
        rows.append(Row(name, error=traceback.format_exc()))
    return rows


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer and shorter blocks; under two minutes")
    parser.add_argument(
        "--rows",
        type=lambda text: text.replace(",", " ").split(),
        help=f"only these, with commas: {', '.join(MEASUREMENTS)}. Then nothing is kept unless --out says where",
    )
    parser.add_argument("--out", type=Path, help=f"the directory to keep results in (default: {history.RESULTS})")
    options = parser.parse_args()
    if unknown := set(options.rows or ()) - set(MEASUREMENTS):
        parser.error(f"there is no row {', '.join(sorted(unknown))}; there are {', '.join(MEASUREMENTS)}")
    return options


if __name__ == "__main__":
    sys.exit(main())
