"""What a method is, needs and may be set: `bench show` prints it, and the method's page shows it."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import Any

from bench import registry
from bench.registry import SCENARIOS, Method
from bench.suite.keys import row_table
from bench.task.task import needs


def method(entry: Method) -> dict[str, Any]:
    """A method by its own words, as JSON-ready data."""
    own = registry.parameters(entry).model_fields
    keys = row_table(entry).model_json_schema()["properties"]
    return {
        "method": entry.name,
        "family": entry.family,
        "paper": entry.paper,
        "year": entry.year,
        "scenarios": list(entry.scenarios),
        "access": sorted(entry.access),
        "sees": {sight.kind: sorted((*sight.granted, *sight.common)) for sight in sights(entry)},
        "parameters": {n: parameter(field) for n, field in keys.items() if n in own},
        "of every row": {n: parameter(field) for n, field in keys.items() if n not in own},
        "file": str(entry.file),
        "about": inspect.cleandoc(inspect.getmodule(entry.function).__doc__ or entry.function.__doc__ or ""),
    }


@dataclass(frozen=True)
class Sight:
    """What a method finds in its task, in one kind of scenario."""

    kind: str
    granted: dict[str, tuple[str, ...]]
    """Attribute -> the accesses that the method declares and that grant it."""
    common: tuple[str, ...]
    """What every method is given."""
    withheld: dict[str, tuple[str, ...]]
    """Attribute that raises an error -> the accesses that would grant it."""


def sights(entry: Method) -> tuple[Sight, ...]:
    """One for each kind of scenario that a method is for."""
    found = []
    for kind in entry.scenarios:
        attributes = sorted(needs(SCENARIOS.get(kind).task).items())
        granted = {a: tuple(n for n in names if n in entry.access) for a, names in attributes if names}
        found.append(
            Sight(
                kind,
                {a: names for a, names in granted.items() if names},
                tuple(a for a, names in attributes if not names),
                {a: names for a, names in attributes if names and not granted[a]},
            )
        )
    return tuple(found)


def parameter(field: dict[str, Any]) -> dict[str, Any]:
    """Type, default, bounds and meaning of one key, out of its JSON Schema."""
    words = {
        "minimum": "at least",
        "exclusiveMinimum": "above",
        "maximum": "at most",
        "exclusiveMaximum": "below",
        "enum": "one of",
    }
    options = field.get("anyOf", [field])  # a value or none, for one
    kinds = (option.get("type", "table") for option in options)
    told = {"type": " or ".join("none" if kind == "null" else kind for kind in kinds)}
    told |= {"default": field["default"]} if "default" in field else {}
    told |= {word: option[key] for option in options for key, word in words.items() if key in option}
    return told | ({"about": " ".join(field["description"].split())} if "description" in field else {})
