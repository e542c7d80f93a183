"""What a suite may say, written once for its checks, `show` and the JSON Schema: bounds, names, kinds of data."""

import re
import unicodedata
from typing import Annotated, Literal, get_args

from annotated_types import Ge, Gt, Le
from pydantic import AfterValidator, WithJsonSchema

LARGEST = 10_000_000
"""No size of a suite lies beyond it, in either direction: zeros too many are told before anything runs."""

Count = Annotated[int, Ge(1), Le(LARGEST)]
"""A whole number of things, at least one."""
Steps = Annotated[int, Ge(0), Le(LARGEST)]
"""A whole number of steps; none is allowed."""
Rate = Annotated[float, Gt(0), Le(1e9)]
"""A learning rate, a temperature, a regulariser that must be positive."""
Weight = Annotated[float, Ge(0), Le(1e9)]
"""The weight of a loss term; zero leaves the term out."""
Fraction = Annotated[float, Ge(0), Le(1)]
"""A share between nothing and all."""
Share = Annotated[float, Gt(0), Le(1)]
"""A share that is not nothing."""
Seconds = Annotated[float, Gt(0), Le(LARGEST)]
"""A limit of time."""
Trials = Annotated[int, Ge(0), Le(10_000)]
"""Settings that are tried; none is allowed."""
Parallel = Annotated[int, Ge(1), Le(1024)]
"""Threads of a process, or processes at once."""
Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
"""What random draws start from; it is a name, and not a size."""

NAME_PATTERN = r"^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9_-])?$"
_RESERVED = frozenset({"con", "prn", "aux", "nul", *(f"{d}{n}" for d in ("com", "lpt") for n in range(10))})
"""File names that Windows keeps for devices, whatever their ending."""

_NO_LABEL = "/\\|`<>[]{}*?\"'$;#~!&"
"""What a pattern, a path, a shell or a table would take for its own."""
_NOWHERE = re.sub(r"([\\\[\]])", r"\\\1", _NO_LABEL) + r"\x00-\x1f\x7f"
"""These and control characters, between the brackets of a pattern that Python and JavaScript read alike."""


def check_name(name: str) -> str:
    """The name, if it can be part of a path, a pattern and an address as it stands. Raises ValueError that says how."""
    if not re.fullmatch(NAME_PATTERN[1:-1], name):
        raise ValueError(
            "a name has 1 to 64 of the characters a-z, A-Z, 0-9, '-', '_' and '.'; it begins with a letter or a digit "
            "and does not end in '.'"
        )
    if name.partition(".")[0].lower() in _RESERVED:
        raise ValueError("a name that Windows keeps for a device cannot be a file's; choose another")
    return name


def check_label(label: str) -> str:
    """The label in composed form (NFC), if a board and a pattern can show it. Raises ValueError that says how."""
    label = unicodedata.normalize("NFC", label)
    fits = 1 <= len(label) <= 100 and label == label.strip() and label.isprintable()
    begins_badly = fits and (
        unicodedata.category(label[0])[0] == "M" or unicodedata.normalize("NFKC", label[0])[0] in "=+-@."
    )
    if not fits or begins_badly or set(label) & set(_NO_LABEL):
        raise ValueError(
            f"a label has 1 to 100 printable characters of any language, but none of {' '.join(_NO_LABEL)} and no line "
            "end; its first character is none of = + - @ . and neither its first nor its last is a space"
        )
    return label


Name = Annotated[
    str, AfterValidator(check_name), WithJsonSchema({"type": "string", "pattern": NAME_PATTERN, "maxLength": 64})
]
"""Of what becomes part of a path or of a table's name: suites, profiles, scenarios, data sets, models."""
Label = Annotated[
    str,
    AfterValidator(check_label),
    WithJsonSchema(
        {
            "type": "string",
            "minLength": 1,
            "maxLength": 100,
            "pattern": f"^(?![\\s=+@.-])[^{_NOWHERE}]*[^\\s{_NOWHERE}]$",
        }
    ),
]
"""Of a row: what people read, in the letters of any language."""

KindName = Literal["images", "texts", "tables"]
"""A kind of data sets; it has the folder `bench/data/<kind>/`."""
KINDS: tuple[KindName, ...] = get_args(KindName)
STORED: dict[KindName, str] = {"images": "uint8", "texts": "int64", "tables": "float32"}
"""The dtype of stored inputs: pixels [N, C, H, W], token numbers [N, L], columns [N, D]. No two kinds share one: it
says of what kind inputs are."""
