"""Unlearning: a trained model is to become what training without some of its rows would have given.

The target is not "forget as much as possible" but models retrained on the other rows: *judges*, by other seeds than the
reference row `retrain`, so that their spread says what is noise. Neither judges nor test rows are seen by any method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Lt
from pydantic import model_validator
from torch import Tensor, nn

from bench.data import select
from bench.data.spec import Rows
from bench.errors import SuiteError
from bench.lab import Bench, Lab
from bench.models.spec import ModelSpec
from bench.recipe import Recipe
from bench.registry import scenario
from bench.scenarios import Score, Situation, unlearn_shadows
from bench.scenarios.unlearn_judging import part_rows
from bench.scenarios.unlearn_measures import measured
from bench.scenarios.unlearn_shadows import Pool
from bench.settings import Settings
from bench.task import Access, Task
from bench.types import Share


class UnlearnTask(Task):
    """What is given: the recipe of the original; what may be asked for: its weights, and parts of the training rows."""

    model: Annotated[nn.Module, Access("weights")]
    """The original theta_o, trained on all rows; in eval mode."""
    student: Annotated[nn.Module, Access("init")]
    """Untrained, of the same architecture; neither the original's initialisation nor a judge's."""
    retain_images: Annotated[Tensor, Access("retain", "retain_labels")]
    """The training images that stay, uint8 [R, C, H, W]."""
    retain_labels: Annotated[Tensor, Access("retain_labels")]
    """Their labels, int64 [R]."""
    forget_images: Annotated[Tensor, Access("forget", "forget_labels")]
    """The training images to be forgotten, uint8 [F, C, H, W]."""
    forget_labels: Annotated[Tensor, Access("forget_labels")]
    """Their labels, int64 [F]."""
    forget_class: Annotated[int | None, Access("forget_class", "forget_labels")]
    """The class to be forgotten, without its images unless they are granted too; None if the request is no class."""
    validation_images: Annotated[Tensor, Access("validation")]
    """Images never trained on, for methods that select, uint8 [V, C, H, W]; the judge does not use them."""
    validation_labels: Annotated[Tensor, Access("validation")]
    """Their labels, int64 [V]."""
    recipe: Recipe
    """How the original and the judges were trained: batch size, augmentation, label smoothing, weight decay ..."""


@scenario(
    kind="unlearn",
    task=UnlearnTask,
    headline="average_gap",
    higher_is_better=False,
    lower="original",
    upper="retrain",
    references=("mask-class",),
)
class Unlearn(Settings):
    """A model trained on all rows and a request to forget some: make the model that never saw them.

    A result is a model or predictor of logits [B, num_classes]. Accuracies are of un-augmented images in eval mode.
    """

    tiny: ClassVar[dict[str, object]] = {"model": "net", "request": "class", "forget_class": 1}

    model: str
    """Suite model that the original, the judges and the untrained student are built and trained like."""
    request: Literal["class", "random"]
    """What is to be forgotten: all rows of one class, or a share of every class."""
    forget_class: Annotated[int, Ge(0)] | None = None
    """`class`: the class."""
    share: Annotated[float, Gt(0), Lt(1)] | None = None
    """`random`: the share; each seed draws its own rows."""
    fraction: Share = 1.0
    """Share of every class's training rows that there are at all; each seed draws its own. On fewer rows a network
    memorises more, and there is more to forget."""
    judges: Annotated[int, Ge(2)] = 2
    """Retrained models that give the target and, one against the others, the noise floor."""
    shadows: Annotated[int, Ge(0)] = 0
    """Models of the strong attacks (LiRA, RMIA), an even number from 4 on; 0 for none. With them half of the rows that
    the request could name is never trained on, as non-members, and the other half is what is forgotten."""
    ulira: bool = False
    """Whether the method is run on every shadow model as well, for U-LiRA and the forgetting quality."""

    @model_validator(mode="after")
    def _one_request(self) -> Unlearn:
        given = {"class": self.forget_class, "random": self.share}
        needed = {"class": "forget_class", "random": "share"}
        other = "random" if self.request == "class" else "class"
        if given[self.request] is None or given[other] is not None:
            raise ValueError(f"request {self.request!r} takes {needed[self.request]}, and no {needed[other]}")
        return self

    @model_validator(mode="after")
    def _shadows_in_pairs(self) -> Unlearn:
        unlearn_shadows.check_number(self.shadows, self.ulira, self.share)
        return self

    def known_rows(self, bench: Bench) -> Rows:
        """All rows that there are."""
        return Rows() if self.fraction == 1 else Rows(kind="random", share=self.fraction, seed=bench.seed)

    def pool_rows(self, bench: Bench) -> Rows:
        """Those of them that the request could name; without shadows it names them all."""
        if self.forget_class is not None:
            return Rows(kind="classes", classes=(self.forget_class,), of=self.known_rows(bench))
        assert self.share is not None
        share = 2 * self.share if self.shadows else self.share
        return Rows(kind="random", share=share, seed=bench.seed, of=self.known_rows(bench))

    def all_rows(self, bench: Bench) -> Rows:
        """The rows that the original is trained on."""
        known = self.known_rows(bench)
        if not self.shadows:
            return known
        return Rows(kind="without", of=known, minus=unlearn_shadows.held_rows(self.pool_rows(bench), bench.seed))

    def forget_rows(self, bench: Bench) -> Rows:
        """Those of them that are to be forgotten."""
        pool = self.pool_rows(bench)
        return unlearn_shadows.asked_rows(pool, bench.seed) if self.shadows else pool

    def retain_rows(self, bench: Bench) -> Rows:
        """The others."""
        return Rows(kind="without", of=self.all_rows(bench), minus=self.forget_rows(bench))

    def zoo(self, bench: Bench) -> dict[str, ModelSpec]:
        """The original, trained on all rows, and the judges, trained without the forgotten ones.

        Raises:
            SuiteError: an unknown model or class, or a model that cannot be retrained as it brings weights of its own.
        """
        if self.forget_class is not None and self.forget_class >= bench.num_classes:
            raise SuiteError(
                f"forget_class = {self.forget_class}: the data set has {bench.num_classes} classes, from 0"
            )
        original = bench.spec(self.model, "original", rows=self.all_rows(bench))
        if original.weights is not None:
            raise SuiteError(
                f"model {self.model!r} has weights of its own: judges cannot be retrained; name a trained one"
            )
        judges = [bench.spec(self.model, f"judge-{i}", rows=self.retain_rows(bench)) for i in range(self.judges)]
        found = {"original": original} | {spec.role: spec for spec in judges}
        if self.shadows:
            known, pool = self.known_rows(bench), self.pool_rows(bench)
            found |= unlearn_shadows.specs(bench, self.model, known, pool, self.shadows)
        return found

    def prepare(self, lab: Lab) -> Situation:
        """Load original and judges, part the training rows, and part the test rows between scores and attacks."""
        specs, labels = self.zoo(lab.bench), lab.dataset.train.labels
        original = lab.model(specs["original"])
        forget, retain = select(self.forget_rows(lab.bench), labels), select(self.retain_rows(lab.bench), labels)
        rows = part_rows(lab.dataset, retain, forget, self.forget_class, lab.generator("unlearn", "test rows"))
        judges = [spec for role, spec in specs.items() if role.startswith("judge-")]
        judge: dict[str, Any] = {"original": original, "rows": rows, "specs": specs}
        judge["untrained"] = lab.fresh(self.model, "zrf")
        judge["judges"] = [lab.model(spec) for spec in judges]
        if self.shadows:
            pool = Pool.of(lab.dataset, self.pool_rows(lab.bench), rows.unseen, self.shadows, lab.bench.seed)
            judge["pool"] = pool
            if self.ulira:
                shadows = [spec for role, spec in specs.items() if role.startswith("shadow-")]
                judge["repeats"] = [
                    self._given(lab, partial(lab.model, spec), f"student of {spec.role}", gone, retain)
                    for spec, gone in zip(shadows, pool.forgotten, strict=True)
                ]
        seconds = [s for s in map(lab.zoo.seconds, judges) if s is not None]
        judge["costs"] = {"retraining_seconds": round(sum(seconds) / len(seconds), 3)} if seconds else {}
        return Situation(self._given(lab, lambda: copy.deepcopy(original), "student", forget, retain), judge)

    def _given(
        self, lab: Lab, model: Callable[[], nn.Module], student: str, forget: Tensor, retain: Tensor
    ) -> dict[str, Callable[[], Any]]:
        """The providers of one task: a trained model and the rows, int64, that it is to forget and to keep."""
        train, validation = lab.dataset.train, lab.dataset.validation
        return {
            "model": model,
            "student": lambda: lab.fresh(self.model, student),
            "retain_images": lambda: train.images[retain],
            "retain_labels": lambda: train.labels[retain],
            "forget_images": lambda: train.images[forget],
            "forget_labels": lambda: train.labels[forget],
            "forget_class": lambda: self.forget_class,
            "validation_images": lambda: validation.images.clone(),
            "validation_labels": lambda: validation.labels.clone(),
            "recipe": lambda: lab.bench.spec(self.model, "original").recipe,
        }

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """Gaps to the judges, accuracies, attacks, distances of predictions and of what is relearned.

        `average_gap` is the mean absolute difference, as a fraction of 1, from the judges' mean in retain, forget and
        test accuracy and in `mia_auc`; `floor_gap` is that of a judge from the other judges: smaller differences are
        noise. `mia_auc` stands where SalUn has MIA-efficacy, because it looks inside the forgotten classes: an
        efficacy of 1 is free for who masks the class. `bench.scenarios.unlearn_measures` says what the others are;
        `floor_NAME` is what retraining itself shows of NAME, and one is to be read beside the other.

        Raises:
            BadResult: the result cannot be judged.
        """
        return measured(situation.judge, result, lab)
