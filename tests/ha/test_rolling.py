"""The short form of `make rolling`."""

from pathlib import Path

from tests.ha.rolling import restart


def test_restarting_servers_by_turns_fails_no_call(database_url: str, tmp_path: Path) -> None:
    seen = restart(database_url, tmp_path, servers=2, rounds=1, clients=2)
    assert seen.failed == []
    assert seen.wrong == []
    assert seen.ops > 300
