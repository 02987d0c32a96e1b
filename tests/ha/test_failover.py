"""The short form of `make failover`."""

from pathlib import Path

from tests.ha.failover import fail_over


def test_a_failover_loses_nothing_acknowledged(tmp_path: Path) -> None:
    seen = fail_over(tmp_path, servers=2, clients=2)
    assert seen.failed == []
    assert seen.wrong == []
    assert seen.ops > seen.before
