"""What else changes where a bundled data set stands in for a scenario's own: data sets that its settings name.

A setting such as `proxy` names images from elsewhere. Where the stand-in comes out of the same drawer (the same set, or
one by the same maker, which draws the same things), they are no longer from elsewhere. Then the first bundled set of
the catalogue takes their place that is of the same kind (images, texts, tables) and has another maker. It is a
setting of the cells like any other: in their keys, on record, and said loudly when the run begins.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from bench.data.catalogue import SOURCES, Source
from bench.errors import DataError

if TYPE_CHECKING:
    from bench.suite.scenarios import SuiteScenario


def on_stand_in(scenario: SuiteScenario, stand_in: str, models: Collection[str]) -> SuiteScenario:
    """The scenario as it is run on a stand-in for its own data set.

    Args:
        stand_in: a data set of the catalogue.
        models: names of the suite's standard models, which a setting may mean as well.

    Raises:
        DataError: a setting is to be replaced, and no bundled set can be.
    """
    here = SOURCES[stand_in]
    changes = {}
    for name, value in scenario.settings:
        named = SOURCES.get(value) if isinstance(value, str) and value not in models else None
        if named is not None and named.reader == here.reader:
            changes[name] = _from_elsewhere(here, f"[scenarios.{scenario.name}] {name} = {value!r}").name
    return replace(scenario, settings=scenario.settings.model_copy(update=changes)) if changes else scenario


def _from_elsewhere(here: Source, what: str) -> Source:
    for source in SOURCES.values():
        if source.bundled and source.reader != here.reader and source.kind == here.kind:
            return source
    raise DataError(
        f"{what} is not from elsewhere where {here.name} stands in, and no other bundled data set can take its place; "
        "bring the scenario's own data set here"
    )
