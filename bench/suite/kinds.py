"""Whether a scenario can be set on a data set: by the kinds that it takes, and by those of its standard models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from bench import models
from bench.errors import BenchError, SuiteError
from bench.registry import SCENARIOS

if TYPE_CHECKING:
    from bench.data.source import Source
    from bench.models.spec import ModelSpec
    from bench.suite.suite import SuiteScenario


def refuse_kind(scenario: SuiteScenario, source: Source) -> None:
    """Raises SuiteError where the scenario does not take data sets of this kind."""
    takes = SCENARIOS.get(scenario.kind).takes
    if source.kind not in takes:
        raise SuiteError(
            f"data set {source.name} holds {source.kind}, and scenario {scenario.name} of kind {scenario.kind!r} takes "
            f"{' or '.join(takes)}"
        )


def refuse_models(specs: Iterable[ModelSpec], source: Source) -> None:
    """Raises SuiteError where a standard model does not take this kind, or moves the pixels of what has none."""
    for spec in specs:
        try:
            models.check_kind(spec.arch, source.kind)
        except BenchError as error:
            raise SuiteError(f"{spec.role} on data set {source.name}: {error}") from None
        if spec.recipe.augment != "none" and spec.weights is None and source.kind != "images":
            raise SuiteError(
                f"the recipe of {spec.arch} ({spec.role}) says augment = {spec.recipe.augment!r}, which moves pixels; "
                f"data set {source.name} holds {source.kind}: say augment = 'none'"
            )
