"""What is asked to be forgotten: the rows of each request of unlearning, and the keys that it takes.

    class       all rows of one class
    random      a share of every class
    subclass    all rows of one class of the data set, out of a model that knows coarse classes made of several: what
                retraining then shows on that class is what it makes of the siblings, and not 0 (the setting of Bad
                Teaching, Chundawat et al. 2023, arXiv:2205.08096, section 5, there CIFAR-20)
    poison      the rows that carry a trigger and the label of a target class, or a share of them (corrective
                unlearning, Goel et al. 2024, arXiv:2402.14015; see `bench.scenarios.unlearn.triggered`)

A request is plain data, a pure function of settings and seed, so that a suite's plan can name the standard models.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, TypeVar

import torch

from bench.data.spec import Rows, Split
from bench.digests import walk
from bench.draws import seed_of
from bench.lab import Setup
from bench.models.spec import ModelSpec
from bench.scenarios.backdoor import Trigger
from bench.scenarios.unlearn.judging import JudgedRows
from bench.scenarios.unlearn.poison import Poison
from bench.scenarios.unlearn.shadows import asked_rows, held_rows
from bench.scenarios.unlearn.triggered import triggered_rows

T = TypeVar("T")


class RequestSettings(Protocol):
    """What a suite says of a request; the fields of `bench.scenarios.unlearn.scenario.Unlearn` tell what each means."""

    @property
    def request(self) -> str: ...
    @property
    def forget_class(self) -> int | None: ...
    @property
    def share(self) -> float | None: ...
    @property
    def coarse(self) -> Sequence[Sequence[int]] | None: ...
    @property
    def target(self) -> int | None: ...
    @property
    def trigger(self) -> Trigger: ...
    @property
    def known(self) -> float: ...
    @property
    def fraction(self) -> float: ...
    @property
    def shadows(self) -> int: ...


@dataclass(frozen=True)
class Request:
    """One seed's request. All rows are named by the labels of the data set itself, before poisoning and merging."""

    known: Rows
    """All rows that there are."""
    pool: Rows
    """Those that the request could name: shadow models leave out halves of them."""
    forget: Rows
    """Those that it names, D_f."""
    held: Rows | None = None
    """Those of the pool that no model under attack sees, where there are shadows."""
    forget_class: int | None = None
    """The class of the model's head that is to go, as methods are told; None where no whole one is."""
    apart: int | None = None
    """The class of the data set that is forgotten as a whole."""
    coarse: tuple[int, ...] = ()
    """Of each class of the data set its coarse class; () where the model knows the classes as they are."""
    poison: Poison | None = None

    @property
    def all(self) -> Rows:
        """The rows that the original is trained on."""
        return self.known if self.held is None else Rows(kind="without", of=self.known, minus=self.held)

    @property
    def retain(self) -> Rows:
        """Those of them that it does not name."""
        return Rows(kind="without", of=self.all, minus=self.forget)

    @property
    def clean(self) -> Rows:
        """Those that retrained models see and scores count: of a poison nothing, named or not."""
        return self.retain if self.poison is None else Rows(kind="without", of=self.known, minus=self.pool)

    def num_classes(self, setup: Setup) -> int:
        """Of the model's head."""
        return max(self.coarse) + 1 if self.coarse else setup.num_classes

    def spec(self, spec: ModelSpec, setup: Setup) -> ModelSpec:
        """A standard model of this scenario in the classes that it knows, the original on the data that it is given."""
        if self.coarse:
            return spec.model_copy(update={"relabel": self.coarse, "num_classes": self.num_classes(setup)})
        if self.poison is not None and spec.role == "original":
            # Its rows are drawn by the labels before poisoning, so its data hold those rows and no others.
            return spec.model_copy(
                update={
                    "fingerprint": self.poison.fingerprint(setup.fingerprint),
                    "data_code": walk.of(Poison),
                    "rows": Rows(),
                }
            )
        return spec

    def labelled(self, split: Split) -> Split:
        """A split of the data set, or its test rows, with labels as the model's head counts them."""
        if not self.coarse:
            return split
        return Split(split.inputs, torch.tensor(self.coarse, dtype=torch.int64)[split.labels])

    def as_given(self, train: Split) -> Split:
        """The training split as the original saw it."""
        return self.labelled(train) if self.poison is None else self.poison.of(train)

    def judged(self, rows: JudgedRows, given: Split) -> JudgedRows:
        """What scoring looks at, out of the parts of the data set itself.

        Args:
            rows: the parts.
            given: the forgotten rows as the original saw them.
        """
        if self.poison is not None:
            return triggered_rows(rows, self.poison, given)
        return replace(rows, parts={name: self.labelled(part) for name, part in rows.parts.items()})


def request_of(settings: RequestSettings, seed: int) -> Request:
    """What these settings ask for in a seed."""
    known = Rows() if settings.fraction == 1 else Rows(kind="random", share=settings.fraction, seed=seed)
    if settings.request == "poison":
        return _poison(settings, known, seed)
    if settings.request == "random":
        share = _given(settings.share)
        pool = Rows(kind="random", share=2 * share if settings.shadows else share, seed=seed, of=known)
    else:
        pool = Rows(kind="classes", classes=(_given(settings.forget_class),), of=known)
    request = Request(known, pool, pool)
    if settings.request == "class":
        request = replace(request, forget_class=settings.forget_class, apart=settings.forget_class)
    if settings.request == "subclass":
        request = replace(request, apart=settings.forget_class, coarse=_coarse_of(_given(settings.coarse)))
    if settings.shadows:
        request = replace(request, forget=asked_rows(pool, seed), held=held_rows(pool, seed))
    return request


def _poison(settings: RequestSettings, known: Rows, seed: int) -> Request:
    target = _given(settings.target)
    others = Rows(kind="without", of=known, minus=Rows(kind="classes", classes=(target,)))
    share = _given(settings.share)
    rows = Rows(kind="random", share=share, seed=seed_of("unlearn", "poison", seed), of=others)
    named = Rows(kind="random", share=settings.known, seed=seed_of("unlearn", "named", seed), of=rows)
    forget = rows if settings.known == 1 else named
    return Request(known, rows, forget, poison=Poison(known, rows, settings.trigger, target))


def _given(value: T | None) -> T:
    """A key that `check_keys` has seen to."""
    assert value is not None
    return value


def _coarse_of(coarse: Sequence[Sequence[int]]) -> tuple[int, ...]:
    """Of each class the number of the list that it is in; -1 for a class that is in none."""
    of = {label: number for number, group in enumerate(coarse) for label in group}
    return tuple(of.get(label, -1) for label in range(max(of) + 1))
