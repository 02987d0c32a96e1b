"""The client needs gRPC and protobuf and nothing more."""

import subprocess
import sys
import textwrap

import grpc

from tests.client.scripted_server import Failure, ScriptedServer

# Entries of None make an import fail as if the package were not installed.
WITHOUT = (
    "import sys; sys.modules.update(dict.fromkeys(('langgraph', 'langchain_core', 'google.rpc', 'grpc_status')))\n"
)


def run(program: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT + textwrap.dedent(program), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_the_client_works_and_reads_errors_without_other_packages(scripted: ScriptedServer) -> None:
    scripted.script.append(Failure(grpc.StatusCode.NOT_FOUND, "none", "THREAD_NOT_FOUND", {"thread_id": "t"}))
    program = """
        from checkpointd.client import Client, NotFound
        try:
            Client(sys.argv[1]).get_thread(thread_id="t")
        except NotFound as error:
            print(error.reason, error.metadata)
    """
    done = run(program, scripted.target)
    assert done.stdout == "THREAD_NOT_FOUND {'thread_id': 't'}\n", done.stderr


def test_the_saver_says_which_extra_it_needs() -> None:
    done = run("import checkpointd.client.langgraph")
    assert done.stderr.splitlines()[-1] == (
        "ImportError: RemoteSaver needs LangGraph's checkpoint interface: pip install 'checkpointd[langgraph]' "
        "(in a checkout: pip install '.[langgraph]')"
    )


def test_error_details_do_not_clash_with_googleapis() -> None:
    """Google's classes may come after this client's; that they may come before is what all other tests show."""
    program = """
        from checkpointd.client.error_info import error_info
        error_info([type("Trailer", (), {"key": "grpc-status-details-bin", "value": b""})])
        del sys.modules["google.rpc"]
        from google.rpc import error_details_pb2, status_pb2
        print(error_details_pb2.ErrorInfo(reason="R").reason)
    """
    done = run(program)
    assert done.stdout == "R\n", done.stderr
