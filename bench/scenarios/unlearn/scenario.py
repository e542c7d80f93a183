"""Unlearning: a trained model is to become what training without some of its rows would have given.

The target is not "forget as much as possible" but models retrained on the other rows: *judges*, by other seeds than the
reference row `retrain`, so that their spread says what is noise. Neither judges nor test rows are seen by any method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import model_validator
from torch import Tensor, nn

from bench.data import select
from bench.data.spec import Dataset, Split
from bench.errors import SuiteError
from bench.lab import Lab, Setup
from bench.models.spec import ModelSpec
from bench.registry import scenario
from bench.scenarios import Providers, Score, Situation
from bench.scenarios.backdoor import Trigger
from bench.scenarios.judging import size
from bench.scenarios.unlearn.judging import part_rows
from bench.scenarios.unlearn.keys import OWN, check_coarse, check_keys, check_request, check_shares
from bench.scenarios.unlearn.measures import COSTS, METRICS, aim_missed, measured
from bench.scenarios.unlearn.requests import Request, request_of
from bench.scenarios.unlearn.shadows import Pool, check_shadows, shadow_specs
from bench.scenarios.unlearn.task import UnlearnTask
from bench.schema.settings import Settings
from bench.types import Share

__all__ = ["Unlearn", "UnlearnTask"]


@scenario(
    kind="unlearn",
    task=UnlearnTask,
    metrics=METRICS,
    costs=COSTS,
    headline="average_gap",
    lower="original",
    upper="retrain",
    references=("mask-class",),
)
class Unlearn(Settings):
    """A model trained on all rows and a request to forget some: make the model that never saw them.

    A result is a model or predictor of logits [B, num_classes]. Accuracies are of un-augmented inputs in eval mode.
    """

    tiny: ClassVar[dict[str, object]] = {"model": "net", "request": "class", "forget_class": 1}

    model: str
    """Suite model that the original, the judges and the untrained student are built and trained like."""
    request: Literal["class", "random", "subclass", "poison"]
    """A class, a share of every class, one class of the data out of a model of coarse ones, or rows with a trigger."""
    forget_class: Annotated[int, Ge(0)] | None = None
    """`class`, `subclass`: the class."""
    share: Annotated[float, Gt(0), Lt(1)] | None = None
    """`random`: of every class; `poison`: of every class but the target, poisoned. Each seed draws its own rows."""
    coarse: tuple[tuple[Annotated[int, Ge(0)], ...], ...] | None = None
    """`subclass`: the classes that make up each coarse class, which is all that models are trained to tell."""
    target: Annotated[int, Ge(0)] | None = None
    """`poison`: the class that poisoned rows are labelled with."""
    trigger: Trigger = "grid"
    """`poison`: `grid` (3x3 in a corner), `square` (white, an eighth of the side), `blend` (a fifth of a pattern)."""
    known: Share = 1.0
    """`poison`: the share of the poisoned rows that is named; methods are given the others as rows that stay."""
    fraction: Share = 1.0
    """Share of every class that there is at all, drawn by seed. On fewer rows a network memorises more."""
    judges: Annotated[int, Ge(2)] = 2
    """Retrained models that give the target and, one against the others, the noise floor."""
    shadows: Annotated[int, Ge(0)] = 0
    """Models of the strong attacks (LiRA, RMIA), an even number from 4 on; 0 for none. With them half of the rows that
    the request could name is never trained on, as non-members, and the other half is what is forgotten."""
    ulira: bool = False
    """Whether the method is run on every shadow model as well, for U-LiRA and the forgetting quality."""

    @model_validator(mode="after")
    def _one_request(self) -> Unlearn:
        defaults = {name: field.default for name, field in type(self).model_fields.items()}
        check_keys(self.request, {name for name in OWN if getattr(self, name) != defaults[name]})
        if self.coarse is not None and self.forget_class is not None:
            check_coarse(self.coarse, self.forget_class)
        return self

    @model_validator(mode="after")
    def _shadows_in_pairs(self) -> Unlearn:
        if self.shadows and self.request == "poison":
            raise ValueError(
                "request 'poison' takes no shadows: it has no rows that could have been poisoned and were not"
            )
        check_shadows(self.shadows, self.ulira, self.share)
        return self

    def asked(self, setup: Setup) -> Request:
        """The rows of this seed's request."""
        return request_of(self, setup.seed)

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The original, trained on all rows, and the judges, trained without the forgotten ones.

        Raises:
            SuiteError: an unknown model or class, or a model that cannot be retrained as it brings weights of its own.
        """
        check_request(self, setup)
        request = self.asked(setup)
        original = setup.spec(self.model, "original", rows=request.all)
        if original.weights is not None:
            raise SuiteError(
                f"model {self.model!r} has weights of its own: judges cannot be retrained; name a trained one"
            )
        judges = [setup.spec(self.model, f"judge-{i}", rows=request.clean) for i in range(self.judges)]
        found = {"original": original} | {spec.role: spec for spec in judges}
        if self.shadows:
            found |= shadow_specs(setup, self.model, request.known, request.pool, self.shadows)
        return {role: request.spec(spec, setup) for role, spec in found.items()}

    def training_data(self, spec: ModelSpec, dataset: Dataset) -> Dataset:
        """What a model of this scenario's zoo is trained on: poisoned where its fingerprint is not the data's own."""
        poison = request_of(self, spec.seed).poison
        return dataset if spec.fingerprint == dataset.fingerprint or poison is None else poison.dataset(dataset)

    def prepare(self, lab: Lab) -> Situation:
        """Load original and judges, part the training rows, and part the test rows between scores and attacks."""
        request, specs, labels = self.asked(lab.setup), self.zoo(lab.setup), lab.dataset.train.labels
        forget, retain, clean = (select(rows, labels) for rows in (request.forget, request.retain, request.clean))
        check_shares(self, request, forget, labels)
        data = self.training_data(specs["original"], lab.dataset)
        original = lab.zoo.load(specs["original"], data).to(lab.device.torch)
        own = self._own(lab, request)
        train = own.dataset.train
        rows = part_rows(lab.dataset, clean, forget, request.apart, lab.generator("unlearn", "test rows"))
        rows = request.judged(rows, Split(train.inputs[forget], train.labels[forget]))
        judges = [spec for role, spec in specs.items() if role.startswith("judge-")]
        judge: dict[str, Any] = {"original": original, "rows": rows, "specs": specs}
        judge["untrained"] = own.fresh(self.model, "zrf")
        judge["judges"] = [lab.model(spec) for spec in judges]
        repeats: list[Providers] = []
        if self.shadows:
            pool = Pool.of(lab.dataset, request.pool, rows.unseen, self.shadows, lab.setup.seed)
            judge["pool"] = replace(pool, rows=request.labelled(pool.rows))
            if self.ulira:
                attacked = [spec for role, spec in specs.items() if role.startswith("shadow-")]
                repeats = [
                    self._given(
                        own,
                        partial(lab.model, spec),
                        f"student of {spec.role}",
                        forget=gone,
                        retain=retain,
                        clean=retain,
                    )
                    for spec, gone in zip(attacked, pool.forgotten, strict=True)
                ]
        seconds = [s for s in map(lab.zoo.seconds, judges) if s is not None]
        costs = {"retraining_seconds": round(sum(seconds) / len(seconds), 3)} if seconds else {}
        model = partial(copy.deepcopy, original)
        given = self._given(own, model, "student", forget=forget, retain=retain, clean=clean)
        return Situation(given, judge, repeats=repeats, size=size(original), costs=costs)

    def _own(self, lab: Lab, request: Request) -> Lab:
        """The lab as methods see its data: in the classes of the model's head, and as the original was trained on."""
        data = lab.dataset
        given = replace(data, train=request.as_given(data.train), validation=request.labelled(data.validation))
        return replace(lab, setup=replace(lab.setup, num_classes=request.num_classes(lab.setup)), dataset=given)

    def _given(
        self, own: Lab, model: Callable[[], nn.Module], student: str, **rows: Tensor
    ) -> dict[str, Callable[[], Any]]:
        """The providers of one task: a trained model, and rows, int64, that go by the names of parts."""
        train, validation = own.dataset.train, own.dataset.validation
        inputs = {f"{part}_inputs": partial(train.inputs.__getitem__, chosen) for part, chosen in rows.items()}
        labels = {f"{part}_labels": partial(train.labels.__getitem__, chosen) for part, chosen in rows.items()}
        others: dict[str, Callable[[], Any]] = {
            "model": model,
            "student": lambda: own.fresh(self.model, student),
            "num_classes": lambda: own.setup.num_classes,
            "forget_class": lambda: self.asked(own.setup).forget_class,
            "validation_inputs": validation.inputs.clone,
            "validation_labels": validation.labels.clone,
            "recipe": lambda: own.setup.spec(self.model, "original").recipe,
        }
        return inputs | labels | others

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """Gaps to the judges, accuracies, attacks, distances of predictions and of what is relearned.

        `average_gap` is the mean absolute difference, as a fraction of 1, from the judges' mean in retain, forget and
        test accuracy and in `mia_auc` (of a poison: `attack_success`); `floor_gap` is that of a judge from the others:
        what is less is noise. `mia_auc` stands where SalUn has MIA-efficacy, because it looks inside the forgotten
        classes: an efficacy of 1 is free for who masks the class. `unlearn_measures` says what the others are.

        Raises:
            BadResult: the result cannot be judged.
        """
        setup = replace(lab.setup, num_classes=self.asked(lab.setup).num_classes(lab.setup))
        return measured(situation, result, replace(lab, setup=setup))

    def choice(self, situation: Situation, result: object, lab: Lab) -> float:
        """What a search goes by (`aim_missed`): retrained networks are not what a user could choose by."""
        classes = self.asked(lab.setup).num_classes(lab.setup)
        return aim_missed(situation.judge["original"], result, situation.judge["rows"], classes, lab.setup.seed)
