"""Data-free distillation from a teacher with a backdoor: does the student inherit it?

The setting of "Revisiting Data-Free Knowledge Distillation with Poisoned Teachers" (Hong et al., ICML 2023,
arXiv:2306.02368). A method is given what it is given in data-free distillation; that the teacher is poisoned, by which
trigger and towards which class, is known to the judge alone.
"""

from __future__ import annotations

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Annotated, Any, ClassVar

from pydantic import NonNegativeInt
from torch import Tensor, nn

from bench.data.spec import Dataset, Split
from bench.digests import walk
from bench.draws import seed_of
from bench.errors import BenchError, SuiteError
from bench.lab import Lab, Setup
from bench.metrics.metric import Metric
from bench.models.spec import ModelSpec
from bench.registry import scenario
from bench.scenarios import Score, Situation, backdoor
from bench.scenarios.backdoor import Trigger
from bench.scenarios.datafree.scenario import METRICS as DATAFREE
from bench.scenarios.datafree.scenario import DataFree, DataFreeTask, twin_of
from bench.scenarios.judging import accuracy, correct, logits
from bench.task.monitor import SYNTHESIS, Monitor, Observations
from bench.task.task import Access
from bench.types import Fraction, Share

METRICS = (
    *DATAFREE,
    Metric("stamped_accuracy", "%", higher_is_better=True, examples="stamped"),
    Metric("attack_success", "%", higher_is_better=False),
    Metric("teacher_attack_success", "%", higher_is_better=False),
    Metric("clean_teacher_accuracy", "%", higher_is_better=True),
)

LOOKS = 3
"""`attack_success` is a mean over so many students: the one returned, and those at the monitor's looks before it."""


class PoisonedTask(DataFreeTask):
    """As in data-free distillation; the teacher carries a backdoor that nothing in the task tells of."""

    clean_teacher: Annotated[nn.Module, Access("clean-teacher")]
    """The same network trained on the same images before they were poisoned, in eval mode without gradients: for a
    reference only."""


@scenario(
    kind="poisoned",
    task=PoisonedTask,
    metrics=METRICS,
    costs=SYNTHESIS,
    headline="stamped_accuracy",
    lower="kd-noise",
    upper="kd-real",
    references=("kd-proxy", "kd-clean"),
    takes=("images",),
)
class Poisoned(DataFree):
    """A teacher with a backdoor and no data: train a student that classifies like it, and is not to be fooled."""

    tiny: ClassVar[dict[str, object]] = {
        **DataFree.tiny,
        "share": 0.5,
        "least_attack_success": 0.0,
    }

    trigger: Trigger = "grid"
    """`grid` (3x3 pixels in a corner), `square` (white, an eighth of the side), or `blend` (a fifth of a pattern)."""
    target: NonNegativeInt = 0
    """The class that stamped images are to be taken for."""
    share: Share = 0.1
    """Poisoned images as a share of all training images, drawn from the classes other than the target."""
    least_attack_success: Fraction = 0.5
    """A teacher that takes fewer stamped images for the target is no poisoned teacher, and the run says so. (The
    paper's setting asks for 95 %, and for an accuracy within two points of the clean teacher's: both are reported.)"""

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The teacher before and after poisoning: equal but for the data.

        Raises:
            SuiteError: an unknown model or proxy, a teacher with weights of its own, or a target that is no class.
        """
        clean = super().zoo(setup)["teacher"]
        if clean.weights is not None:
            raise SuiteError(
                f"teacher {self.teacher!r} has weights of its own, and a poisoned teacher is trained here; "
                "name a model without `weights`"
            )
        if self.target >= setup.num_classes:
            raise SuiteError(f"target = {self.target}: the classes are 0 to {setup.num_classes - 1}")
        return {
            "clean-teacher": clean,
            "teacher": clean.model_copy(
                update={
                    "fingerprint": self._fingerprint(setup.seed, setup.fingerprint),
                    "data_code": walk.of(backdoor.poison),
                }
            ),
        }

    def training_data(self, spec: ModelSpec, dataset: Dataset) -> Dataset:
        """What a model of this scenario's zoo is trained on: poisoned where its fingerprint is not the data's own."""
        if spec.fingerprint == dataset.fingerprint:
            return dataset
        train, _ = backdoor.poison(
            dataset.train, self.trigger, target=self.target, share=self.share, seed=_draw(spec.seed)
        )
        return replace(dataset, train=train, fingerprint=self._fingerprint(spec.seed, dataset.fingerprint))

    def prepare(self, lab: Lab) -> Situation:
        """Load both teachers.

        Raises:
            BenchError: the teacher did not learn the trigger.
        """
        specs = self.zoo(lab.setup)
        clean = lab.device.place(lab.model(specs["clean-teacher"])).requires_grad_(False)
        poisoned = lab.zoo.load(specs["teacher"], self.training_data(specs["teacher"], lab.dataset))
        situation = self.situation(lab, poisoned)
        stamped = self._stamped(lab.dataset.test)
        monitor, attacks = self._watch_attacks(situation.judge["seen"], stamped, lab)
        classes, test = lab.setup.num_classes, lab.dataset.test
        fooled = accuracy(logits(poisoned, stamped.inputs, classes), self.target)
        if fooled < self.least_attack_success:
            raise BenchError(
                f"teacher {self.teacher!r} takes {fooled:.0%} of the stamped images for class {self.target}, and "
                f"least_attack_success is {self.least_attack_success:.0%}: it hardly learned the trigger "
                f"{self.trigger!r}; train it for longer (recipe), raise `share`, or take another trigger"
            )
        known = {
            "teacher_attack_success": fooled,
            "clean_teacher_accuracy": accuracy(logits(clean, test.inputs, classes), test.labels),
        }
        return replace(
            situation,
            providers={**situation.providers, "monitor": monitor, "clean_teacher": lambda: copy.deepcopy(clean)},
            judge={**situation.judge, "stamped": stamped, "teachers": known, "attacks": attacks},
            observers=(*situation.observers, attacks),
        )

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """As in data-free distillation; besides, of stamped test images that are not of the target class: the share
        still put into their own class (`stamped_accuracy`) and into the target class (`attack_success`).

        The latter moves by 20 points within 50 updates of one run, so it is the mean over the student that is returned
        and over that at the last two looks before its end, one twentieth and two twentieths of the budget earlier.
        """
        clean = super().score(situation, result, lab)
        stamped = situation.judge["stamped"]
        z = logits(result, stamped.inputs, lab.setup.num_classes)  # type: ignore[arg-type]  # judged once already
        right = correct(z, stamped.labels)
        late = [*situation.judge["attacks"].seen[-LOOKS:-1], accuracy(z, self.target)]
        metrics = {"stamped_accuracy": float(right.mean()), "attack_success": sum(late) / len(late)}
        return Score(clean.metrics | metrics | situation.judge["teachers"], clean.correct | {"stamped": right})

    def _watch_attacks(self, seen: Observations, stamped: Split, lab: Lab) -> tuple[Callable[[], Monitor], Attacks]:
        """Have the attack's success measured at every look: the provider of the monitor, and what is seen."""
        attacks, judge = Attacks(), seen.judge

        def look(student: Mapping[str, Tensor]) -> float:
            twin = twin_of(lab, self.student, student)
            attacks.seen.append(accuracy(logits(twin, stamped.inputs, lab.setup.num_classes), self.target))
            return judge(student)

        def monitor() -> Monitor:
            attacks.seen.clear()
            return seen.monitor()

        seen.judge = look
        return monitor, attacks

    def _stamped(self, test: Split) -> Split:
        """The test images that are not of the target class, stamped, with their own labels."""
        others = test.labels != self.target
        return Split(backdoor.stamp(test.inputs[others], self.trigger), test.labels[others])

    def _fingerprint(self, seed: int, clean: str) -> str:
        """Of the poisoned data (16 hex digits), out of all that it is made from, without making it."""
        told = [clean, self.trigger, self.target, self.share, _draw(seed)]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@dataclass
class Attacks:
    """The attack's success on the student at each look, for the judge and, as an `Observer`, for a later score."""

    seen: list[float] = field(default_factory=list)

    def to_keep(self) -> list[float]:
        """All of them."""
        return self.seen

    def restore(self, kept: list[float]) -> None:
        """Be told what was kept."""
        self.seen[:] = kept

    def curves(self) -> dict[str, list[tuple[float, float]]]:
        """For the record: none."""
        return {}

    def pictures(self) -> dict[str, Tensor]:
        """For the record: none."""
        return {}

    def costs(self, spent: Mapping[str, Any]) -> dict[str, float]:  # noqa: ARG002
        """For the record: none."""
        return {}


def _draw(seed: int) -> int:
    """The seed of the poisoned rows of a suite's seed."""
    return seed_of("poison", seed)
