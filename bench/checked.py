"""Holding a table of a suite against a schema: every fault becomes a line that names file, table and key."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from pydantic import BaseModel, ValidationError

from bench.errors import SuiteError
from bench.registry import near_miss
from bench.settings import fields_at


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
        raise SuiteError("\n".join(f"{where}: {line}" for line in lines)) from None


def _fault(schema: type[BaseModel], fault: Mapping[str, Any], at: str, extra: Iterable[str]) -> str:
    location = [str(part) for part in fault["loc"]]
    table = ".".join([at, *location[:-1]]).strip(".")
    prefix = f"[{table}] " if table else ""
    key = location[-1] if location else ""
    if fault["type"] == "extra_forbidden":
        known = [*fields_at(schema, location[:-1]), *(extra if len(location) == 1 else ())]
        return f"{prefix}unknown key {key!r}{near_miss(key, known)}"
    if fault["type"] == "missing":
        return f"{prefix}key {key!r} is missing"
    return f"{prefix}{key}: {fault['msg']}, got {fault['input']!r}"
