"""The deployment guide says what the command says."""

import argparse
import re

from checkpointd.server import config
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
