"""The short form of `make overload`: what was taken is answered and kept, and the server does not grow."""

from collections.abc import Iterator

import pytest

from tests.load.phase import lost, phase
from tests.postgres import TestPostgres
from tests.server_process import ServerProcess

_CAPACITY, _TIMES = 32, 10
_SECONDS = 1.5
_MOST_GROWTH = 100 << 20  # bytes; ten times the requests would be a few MiB, a queue without end hundreds


@pytest.fixture(scope="module")
def limited(postgres: TestPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    url = postgres.create_database()
    log = tmp_path_factory.mktemp("overload") / "log"
    with ServerProcess(log, "--database-url", url, "--max-in-flight", str(_CAPACITY)) as server:
        yield server
        assert "Traceback" not in log.read_text()
    postgres.drop_database(url)


@pytest.mark.parametrize(("carrier", "heeds"), [("session", True), ("session", False), ("call", True)])
def test_ten_times_the_capacity(limited: ServerProcess, carrier: str, heeds: bool) -> None:
    name = f"{carrier}-{heeds}"
    at = phase(limited, f"at-{name}", callers=_CAPACITY, seconds=_SECONDS, carrier=carrier)
    over = phase(limited, f"over-{name}", callers=_TIMES * _CAPACITY, seconds=_SECONDS, carrier=carrier, heeds=heeds)
    for seen in (at, over):
        assert seen.done.failed == []
        assert not lost(limited, seen)
        assert seen.accepted > 0
    assert over.done.refused > 0
    if carrier == "session":  # so that each was refused by the server, with a delay, or it would have failed
        assert over.done.by_grpc == 0
    assert over.most_memory < at.most_memory + _MOST_GROWTH
    # Ten times the callers without a limit would take ten times as long. Those that don't heed take the machine's time,
    # and a noisy machine makes any quantile large, so that the half must do here.
    if heeds:
        assert over.took(0.5) < 8 * at.took(0.5) + 0.05
