"""What needs LangGraph itself, and not only its checkpoint library, which is all that the package depends on."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def langgraph_needed(what: str) -> Iterator[None]:
    """Around an import of a module that imports LangGraph: says who needs it when it is missing or another one.

    Raises ImportError with a message that says what to install.
    """
    try:
        yield
    except ImportError as error:
        raise ImportError(
            f"{what} needs LangGraph 1.2 itself, and it can't be used here: {error}; "
            "install it with: pip install 'langgraph>=1.2.22,<1.3'",
            name=error.name,
            path=error.path,
        ) from error
