r"""Texts in a plain table: gzipped, one row a line, columns `split`, `label`, `text` (and `domain`) named at its head.

UTF-8, columns parted by tabs, no quoting; inside a field a line end, a tab and a backslash are written `\n`, `\t`,
`\\`. Such tables are small, every corpus can be put into one, and all read alike.
"""

from __future__ import annotations

import gzip
import re
import zlib
from typing import TYPE_CHECKING

from bench.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_ESCAPE = re.compile(r"\\([nt\\])")
_PLAIN = {"n": "\n", "t": "\t", "\\": "\\"}


def rows(path: Path, advice: str, columns: tuple[str, ...] = ("split", "label", "text")) -> Iterator[tuple[str, ...]]:
    """The fields of these columns, row by row.

    Args:
        path: the table.
        advice: what to do about a damaged one, as the end of a message.
        columns: which, in which order; others are passed over.

    Raises:
        DataError: the file is torn, no such table, or a row of it has another number of fields.
    """
    lines = text_of(path, advice).split("\n")  # no splitlines: a text may hold other line ends
    head = lines[0].split("\t")
    if not set(columns) <= set(head):
        raise DataError(
            f"{path} begins with the columns {', '.join(head)[:80]!r} and should have {', '.join(columns)}: it is "
            f"altered or another kind of file; {advice}"
        )
    wanted = [head.index(column) for column in columns]
    for number, line in enumerate(lines[1:], start=2):
        if line:
            fields = line.split("\t")
            if len(fields) != len(head):
                raise DataError(
                    f"{path}, line {number}: {len(fields)} fields and there should be {len(head)} "
                    f"({', '.join(head)}): it is half-written or altered; {advice}"
                )
            yield tuple(_unescaped(fields[k]) for k in wanted)


def text_of(path: Path, advice: str, encoding: str = "utf-8") -> str:
    """A file's text, gzipped where it is named so.

    Raises:
        DataError: it is torn or not text of this encoding.
    """
    try:
        content = path.read_bytes()
        return (gzip.decompress(content) if path.suffix == ".gz" else content).decode(encoding)
    except UnicodeDecodeError as error:
        raise DataError(f"{path} is not {encoding} text at byte {error.start}: it is altered; {advice}") from error
    except (OSError, EOFError, zlib.error) as error:
        raise DataError(f"{path} is half-downloaded or altered ({error}); {advice}") from error


def _unescaped(field: str) -> str:
    return _ESCAPE.sub(lambda match: _PLAIN[match[1]], field) if "\\" in field else field
