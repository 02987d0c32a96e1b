"""The command as a person would call it, for calls that end by themselves."""

import subprocess

from tests.server_process import COMMAND, environment

_TIMEOUT = 20.0  # seconds


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run `checkpointd` and return what it said. A server that starts against expectation is stopped again."""
    words = [*COMMAND, *arguments]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment(**settings)
    ) as process:
        try:
            output, errors = process.communicate(timeout=_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.terminate()
            output, errors = process.communicate()
            raise AssertionError(f"{arguments} did not end; it said:\n{output}{errors}") from None
    return subprocess.CompletedProcess(words, process.returncode, output, errors)
