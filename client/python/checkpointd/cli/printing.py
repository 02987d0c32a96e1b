"""How the command prints: with colours and as wide as the terminal, or plainly and as wide as needed elsewhere."""

import json
import os
import re
import sys
from typing import Any, Literal, NoReturn

from rich.console import Console
from rich.text import Text

from checkpointd.cli.text import clean

# A table that is not for a terminal is as wide as its widest row.
_UNBOUNDED = 100_000

# What JSON leaves as it is in a string and a terminal would not: escaped, it is the same JSON.
_UNSAFE = re.compile(
    "[\x7f-\x9f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\ufffb]"
)


class _Pipe(Console):
    """A console that lets its caller know when nobody reads any more."""

    def on_broken_pipe(self) -> NoReturn:
        raise BrokenPipeError


class Printer:
    """Prints a command's answer, and on the standard error what is not part of it."""

    def __init__(self, *, as_json: bool) -> None:
        self.as_json = as_json
        if sys.stdout is None:  # closed by who called us
            sys.stdout = open(os.devnull, "w")  # noqa: SIM115 - for as long as the process lives
        utf8 = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
        self._ascii = not utf8
        # A terminal's characters may be fewer than a value's; an escape is better than a traceback.
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="backslashreplace")
        if sys.stderr is not None and hasattr(sys.stderr, "reconfigure"):
            sys.stderr.reconfigure(errors="backslashreplace")
        width = None if sys.stdout.isatty() or os.environ.get("COLUMNS", "").isdigit() else _UNBOUNDED
        # rich takes NO_COLOR by its word and still prints bold; who sets it wants plain text.
        colours: Literal["auto"] | None = None if os.environ.get("NO_COLOR") else "auto"
        self.console = _Pipe(width=width, color_system=colours, markup=False, highlight=False, emoji=False)

    def document(self, document: Any) -> None:
        """Print one JSON document, in one line."""
        text = json.dumps(document, ensure_ascii=self._ascii, allow_nan=False)
        sys.stdout.write(_UNSAFE.sub(lambda found: f"\\u{ord(found[0]):04x}", text) + "\n")

    def line(self, *parts: str | tuple[str, str] | Text, indent: int = 0) -> None:
        """Print a line of safe text, in parts that may have a style; on a terminal, wrapped with its indent kept."""
        text = Text.assemble(*parts)
        if not indent:
            self.console.print(text, overflow="fold")
            return
        room = max(self.console.width - indent, 10)
        for wrapped in text.wrap(self.console, room, overflow="fold") or [Text()]:
            self.console.print(Text(" " * indent) + wrapped, overflow="fold", crop=False, no_wrap=True)

    def flush(self) -> None:
        """Let who reads have what was printed. Raises BrokenPipeError when nobody does."""
        sys.stdout.flush()

    def note(self, text: str) -> None:
        """Say something on the standard error."""
        if sys.stderr is not None:
            print(f"checkpointd: {clean(text)}", file=sys.stderr)
