"""One file a kind of scenario. A kind is a settings class with three methods::

    METRICS = (*CLASSIFIER, Metric("agreement", "%", higher_is_better=True))    # all that `score` gives

    @scenario(
        kind="fuse", task=FuseTask, metrics=METRICS, lower="average", upper="ensemble", references=("parent",)
    )
    class Fuse(Settings):
        '''First line: what is given and what is wanted (shown by `bench show fuse`).'''

        model: str                      # fields: what `[scenarios.NAME]` of a suite may set

        def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
            '''The standard models of one seed, by role: trained before any cell runs.'''

        def prepare(self, lab: Lab) -> Situation:
            '''Load them; say what a task is made of and what scoring needs.'''

        def score(self, situation: Situation, result: object, lab: Lab) -> Score:
            '''Judge what a method returned. Raises BadResult where it cannot be judged.'''

        def training_data(self, spec: ModelSpec, dataset: Dataset) -> Dataset:
            '''Optional: the data that a standard model is trained on, where they are not the suite's.'''

        def choice(self, situation: Situation, result: object, lab: Lab) -> float:
            '''Optional: what a row's search goes by on validation data, in place of the headline.'''

`training_data` is asked, with the suite's data set, for each model whose `spec.fingerprint` `zoo` has changed; the
data set that it returns must carry that fingerprint. Such a spec also says by what code its data are made
(`data_code = bench.digests.walk.of(function)`), so that other code trains another model. The models are there before
any cell is prepared. `choice` is for headlines that a user could not choose by, since they know what only the judge has
(retrained networks); it is good when high, or low, as the headline is. A budget in seconds is a setting named
`seconds`: numbers of such boards hang on the machine.

A metric is declared where it is computed (`bench.metrics.metric`): its unit, its good direction and, where there is
more to say, its title, how to read it and its floor. Boards, `check` and `show` have all of that from the declaration,
so a scenario with metrics of its own is one folder. A metric that follows from recorded ones is `derived`, and records
do not hold it. What only this scenario's cells cost is declared by `costs=`. Declarations are in no digest: a better
title makes no record stale.

The decorator's `takes` names the kinds of data that the scenario can be set on (images and texts, unless it says
otherwise); a suite that sets it on another kind is refused before anything runs.

A scenario knows neither methods nor the command line.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np

    from bench.task.observer import Observer


Providers = Mapping[str, Callable[[], Any]]


@dataclass(frozen=True)
class Situation:
    """A prepared scenario: what tasks are made of, and what only the judge sees."""

    providers: Providers
    """Task attribute -> function that makes it. Called only if granted; its cost is charged to the method.
    A provider hands out copies of its own, never the judge's objects."""
    judge: Mapping[str, Any]
    """Private to `score`: the harness does not look into it."""
    repeats: Sequence[Providers] = ()
    """Further tasks that the method is run on for the score alone, each with a seed of its own; their seconds are told
    apart (`repeat_seconds`), and trials of a search run none."""
    repeated: Sequence[Any] = ()
    """What the method returned on each of them: the harness fills it in before it asks for the score."""
    size: int | None = None
    """Parameters of the network that is wanted: larger results are marked and not ranked."""
    costs: Mapping[str, float] = field(default_factory=dict)
    """Costs that are known beforehand, for the record (of retraining, say); declared by `@scenario(costs=...)`."""
    observers: Sequence[Observer] = ()
    """Who watches the method; the record keeps their curves, pictures and costs."""


@dataclass(frozen=True)
class Score:
    """Metrics by name, and per-example correctness of named example sets."""

    metrics: dict[str, float]
    correct: dict[str, np.ndarray] = field(default_factory=dict)
    """Example set (`test`, `retain`, ...) -> bool [N]; `accuracy` must be the mean of `correct["test"]`."""
