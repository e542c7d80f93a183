"""What is shown ends nothing: a closed pipe, a full disk behind it, letters that a terminal lacks."""

from __future__ import annotations

import contextlib
import os
import sys
from pathlib import Path
from typing import Any
from unicodedata import category

TURNS = "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"


class Forgiving:
    """A text stream whose failing loses what is shown, and nothing else."""

    def __init__(self, stream: Any) -> None:
        self._stream = stream

    def write(self, text: str) -> int:
        """Write; letters that the stream's encoding lacks are written as escapes."""
        try:
            try:
                self._stream.write(text)
            except UnicodeEncodeError as error:
                self._stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))
        except (OSError, ValueError):
            self._give_up()
        return len(text)

    def flush(self) -> None:
        """Flush."""
        try:
            self._stream.flush()
        except (OSError, ValueError):
            self._give_up()

    def __getattr__(self, name: str) -> Any:
        if name in ("buffer", "_stream"):  # whoever wrote bytes past this stream would not be forgiven
            raise AttributeError(name)
        return getattr(self._stream, name)

    def _give_up(self) -> None:
        """Nobody listens any more: what is still buffered, and what follows, goes nowhere."""
        with contextlib.suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())
            os.close(nowhere)


def forgive() -> None:
    """From here on, this process's standard output and error are forgiving; where one is closed, it leads nowhere."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - for as long as the process lives
        if not isinstance(stream, Forgiving):
            setattr(sys, name, Forgiving(stream))


def plain(text: str) -> str:
    """Somebody's text without the control characters that would steer a terminal; line ends and tabs stay."""
    return "".join(ascii(c)[1:-1] if _steers(c) else c for c in text)


def _steers(character: str) -> bool:
    """Control characters, halves of letters, and what turns the direction of all that follows."""
    return (category(character) in ("Cc", "Cs", "Zl", "Zp") and character not in "\n\t") or character in TURNS
