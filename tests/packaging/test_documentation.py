"""The deployment guide says what the command says."""

import argparse
import re

from checkpointd.server import config, status
from checkpointd.v1.error_reason_pb2 import ErrorReason
from tests.packaging import security_table
from tests.packaging.environments import ROOT


def test_the_guide_lists_every_option_with_its_variable_and_default() -> None:
    parser = argparse.ArgumentParser(add_help=False)
    config.add_options(parser, {})
    options = {
        f"{action.option_strings[0]} {action.metavar or ''}".strip(): (
            config.variable_of(action.option_strings[0].removeprefix("--")),
            action.default or None,
        )
        for action in parser._actions
    }
    guide = (ROOT / "docs" / "deployment.md").read_text()
    rows = re.findall(r"^\| `(--[^`]+)` \| `([^`]+)` \| (?:`([^`]+)`)?", guide, re.MULTILINE)
    assert {option: (variable, default or None) for option, variable, default in rows} == options


def test_the_guide_says_who_may_call_what() -> None:
    assert security_table.table() in security_table.GUIDE.read_text()
    assert security_table.in_guide() == security_table.GUIDE.read_text()


def test_the_guide_says_what_every_error_means() -> None:
    guide = (ROOT / "docs" / "operations.md").read_text()
    rows = dict(re.findall(r"^\| `([A-Z_]+)` \| ([A-Z_]+) \| .", guide, re.MULTILINE))
    assert rows == {
        ErrorReason.Name(reason).removeprefix("ERROR_REASON_"): code.name for reason, code in status.CODES.items()
    }
    assert {f"ERROR_REASON_{reason}" for reason in rows} == set(ErrorReason.keys()) - {"ERROR_REASON_UNSPECIFIED"}
