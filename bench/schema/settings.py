"""The base of everything that a suite may set: unknown keys refused, types strict, values frozen, sizes sane."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, get_args

from pydantic import BaseModel, ConfigDict, model_validator

from bench.types import LARGEST


class Settings(BaseModel):
    """A table of a suite file. Fields are the keys; types, defaults and bounds are the schema."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _freeze(cls, table: Any) -> Any:
        """TOML has lists only; a frozen table holds tuples."""
        if not isinstance(table, dict):
            return table
        for key, value in table.items():
            _refuse_absurd(str(key), value)
        return {k: _as_tuple(v) for k, v in table.items()}


def fields_at(schema: type[BaseModel], location: Sequence[str]) -> list[str]:
    """The keys that a table may have, `location` steps below `schema` (list indices are passed over)."""
    for step in location:
        field = schema.model_fields.get(step)
        if field is None:
            continue
        nested = [t for t in _flat(field.annotation) if isinstance(t, type) and issubclass(t, BaseModel)]
        if nested:
            schema = nested[0]
    return list(schema.model_fields)


def _refuse_absurd(key: str, value: Any) -> None:
    """A whole number beyond `LARGEST` is a slip, whatever the key's own bounds; seeds are no sizes."""
    if "seed" in key:
        return
    if isinstance(value, int) and abs(value) > LARGEST:
        raise ValueError(f"{key} is beyond what a suite may ask for (at most {LARGEST})")
    if isinstance(value, list | tuple):
        for item in value:
            _refuse_absurd(key, item)
    elif isinstance(value, dict):
        for name, item in value.items():
            _refuse_absurd(str(name), item)


def _as_tuple(value: Any) -> Any:
    return tuple(_as_tuple(v) for v in value) if isinstance(value, list) else value


def _flat(hint: Any) -> list[Any]:
    args = get_args(hint)
    return [hint] if not args else [t for a in args for t in _flat(a)]
