"""What must hold of the files that make containers. No image is built: that needs an engine and a base image."""

import argparse
import re
import shutil
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]

from checkpointd.server import config
from tests.packaging.environments import ROOT

IGNORED_CACHES = shutil.ignore_patterns("__pycache__")


def instructions() -> list[tuple[str, str]]:
    """The Dockerfile's instructions and their arguments, with continued lines joined."""
    lines = [line for line in (ROOT / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(word, rest) for line in joined.splitlines() for word, _, rest in [line.partition(" ")]]


def of_the_image(wanted: str) -> list[str]:
    """The arguments of an instruction in the last stage, which is the image."""
    all_of_them = instructions()
    last = max(index for index, (word, _) in enumerate(all_of_them) if word == "FROM")
    return [rest for word, rest in all_of_them[last:] if word == wanted]


def copied() -> list[str]:
    """The paths of the checkout that the Dockerfile copies."""
    copies = [rest.split() for word, rest in instructions() if word == "COPY" and not rest.startswith("--from")]
    return [source for words in copies for source in words[:-1]]


def test_the_image_is_made_from_files_that_are_there_and_no_others() -> None:
    sources = copied()
    assert [source for source in sources if not (ROOT / source).exists()] == []
    rules = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    assert rules == ["*", *(f"!{source}" for source in sources), "**/__pycache__"]


def test_what_is_copied_makes_the_whole_wheel(archives: tuple[Path, Path], tmp_path: Path, made: Any) -> None:
    for source in copied():
        target = tmp_path / source
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / source).is_dir():
            shutil.copytree(ROOT / source, target, ignore=IGNORED_CACHES)
        else:
            shutil.copy(ROOT / source, target)
    build = f"import os; from hatchling import build; os.chdir({str(tmp_path)!r}); print(build.build_wheel('.'))"
    wheel = tmp_path / made("builder").python(build)
    with zipfile.ZipFile(wheel) as from_copies, zipfile.ZipFile(archives[1]) as published:
        assert sorted(from_copies.namelist()) == sorted(published.namelist())


def test_the_image_is_not_root() -> None:
    (user,) = of_the_image("USER")
    assert re.fullmatch(r"[1-9]\d*:[1-9]\d*", user)
    made_by = next(rest for rest in of_the_image("RUN") if "useradd" in rest)
    assert f"--uid {user.partition(':')[0]} " in made_by


def test_the_image_keeps_its_data_in_a_volume_of_its_users() -> None:
    (volume,) = of_the_image("VOLUME")
    (environment,) = of_the_image("ENV")
    settings = dict(part.split("=", 1) for part in environment.split())
    parser = argparse.ArgumentParser()
    config.add_options(parser, settings)
    assert parser.parse_args([]).data_dir == volume
    assert parser.parse_args([]).listen == "0.0.0.0:50051"
    assert parser.parse_args([]).session_port == "50052"
    assert any("install --directory --owner=checkpointd" in rest and volume in rest for rest in of_the_image("RUN"))


def test_signals_reach_the_server_and_health_asks_it() -> None:
    assert of_the_image("ENTRYPOINT") == ['["checkpointd"]']
    assert of_the_image("CMD") == ['["serve"]']
    assert of_the_image("STOPSIGNAL") == ["SIGTERM"]
    assert of_the_image("EXPOSE") == ["50051 50052"]
    (health,) = of_the_image("HEALTHCHECK")
    assert 'CMD checkpointd health --server "127.0.0.1:${CHECKPOINTD_LISTEN##*:}"' in health


def test_the_image_has_a_python_that_we_support() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    oldest = tuple(int(part) for part in re.findall(r"\d+", project["requires-python"]))
    bases = {rest.split()[0] for word, rest in instructions() if word == "FROM"}
    assert len(bases) == 1
    assert tuple(int(part) for part in re.findall(r"\d+", bases.pop())) >= oldest


@pytest.fixture
def services() -> dict[str, Any]:
    composed = yaml.safe_load((ROOT / "compose.yaml").read_text())
    assert set(composed["volumes"]) == {"postgres"}
    services: dict[str, Any] = composed["services"]
    return services


def test_compose_waits_for_a_healthy_database(services: dict[str, Any]) -> None:
    assert services["checkpointd"]["depends_on"] == {"postgres": {"condition": "service_healthy"}}
    assert "pg_isready" in services["postgres"]["healthcheck"]["test"]
    assert services["postgres"]["volumes"] == ["postgres:/var/lib/postgresql"]


def test_compose_gives_both_the_same_database_and_password(services: dict[str, Any]) -> None:
    ours, theirs = (services[name]["environment"] for name in ("checkpointd", "postgres"))
    user, database = theirs["POSTGRES_USER"], theirs["POSTGRES_DB"]
    assert ours["CHECKPOINTD_DATABASE_URL"] == f"postgresql://{user}@postgres:5432/{database}"
    assert ours["PGPASSWORD"] == theirs["POSTGRES_PASSWORD"]
    assert theirs["POSTGRES_PASSWORD"].startswith("${POSTGRES_PASSWORD:-")


def test_compose_serves_this_machine_only_and_lets_the_server_drain(services: dict[str, Any]) -> None:
    server = services["checkpointd"]
    assert server["ports"] == ["127.0.0.1:50051:50051", "127.0.0.1:50052:50052"]
    assert server["init"] is True
    assert int(server["stop_grace_period"].removesuffix("s")) > 30
