"""Holding a table of a suite against a schema: every fault becomes a line that names file, table and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.errors import SuiteError, near_miss
from bench.schema.settings import fields_at
from bench.types import check_name

SHOWN = 120
"""So many characters of a faulty value are shown."""


def checked(schema: type[Any], table: object, where: str, at: str, extra: Iterable[str] = ()) -> Any:
    """Validate one table; every fault of it becomes a line of one SuiteError.

    Args:
        schema: a pydantic model.
        table: what stands in the file.
        where: the file, and the profile.
        at: the table's dotted name; "" for the top of the file.
        extra: keys that somebody else reads, to be suggested as near misses too.
    """
    try:
        return schema.model_validate(table)
    except ValidationError as error:
        lines = [_fault(schema, fault, at, extra) for fault in error.errors()]
        raise SuiteError("\n".join(f"{where}: {line}" for line in dict.fromkeys(lines))) from None


def named(name: str, what: str, where: str) -> str:
    """`name`, if it is one (`bench.types.check_name`); a SuiteError that says of what it is none otherwise."""
    try:
        return check_name(name)
    except ValueError as error:
        raise SuiteError(f"{where}: {what} {shown(name)}: {error}") from None


def shown(value: object) -> str:
    """A value of a file in a message: on one line, and not all of it where it is long."""
    text = ascii(value) if not repr(value).isprintable() else repr(value)
    return text if len(text) <= SHOWN else f"{text[:SHOWN]}..."


def _fault(schema: type[BaseModel], fault: Mapping[str, Any], at: str, extra: Iterable[str]) -> str:
    location = [str(part) for part in fault["loc"]]
    table = ".".join([at, *location[:-1]]).strip(".")
    prefix = f"[{table}] " if table else ""
    key = location[-1] if location else ""
    if fault["type"] == "extra_forbidden":
        known = [*fields_at(schema, location[:-1]), *(extra if len(location) == 1 else ())]
        return f"{prefix}unknown key {shown(key)}{near_miss(key, known)}"
    if fault["type"] == "missing":
        return f"{prefix}key {key!r} is missing"
    said = fault["msg"].removeprefix("Value error, ").replace("a valid tuple", "a list")
    if fault["type"] in ("model_type", "dict_type", "model_attributes_type"):
        said = "a table was expected"
    if not location:
        return f"{prefix}{said}" + ("" if isinstance(fault["input"], dict) else f", got {shown(fault['input'])}")
    return f"{prefix}{key}: {said}, got {shown(fault['input'])}"
