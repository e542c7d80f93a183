"""What a scenario of a kind and a row of a method may say: the keys that all have, and those of the kind or method."""

from __future__ import annotations

from functools import cache
from typing import Any

from pydantic import create_model

from bench import registry
from bench.errors import BenchError
from bench.schema.tables import RowHead, ScenarioHead


def scenario_table(kind: registry.Scenario) -> type[ScenarioHead]:
    """What `[scenarios.NAME]` of this kind may say. Raises BenchError where a setting is named like a common key."""
    return _joined(kind.kind, f"scenario kind {kind.kind!r}", ScenarioHead, kind.settings)


def row_table(method: registry.Method) -> type[RowHead]:
    """What a row of this method may say. Raises BenchError where a parameter is named like a common key."""
    return _joined(method.name, f"method {method.name!r}", RowHead, registry.parameters(method))


@cache
def _joined(name: str, what: str, head: Any, own: Any) -> Any:
    both = sorted(head.model_fields.keys() & own.model_fields.keys())
    if both:
        raise BenchError(f"{what} cannot have a key {both[0]!r} of its own: {head.__doc__.partition(';')[0].lower()}")
    return create_model(name, __base__=(head, own), __doc__=own.__doc__)
