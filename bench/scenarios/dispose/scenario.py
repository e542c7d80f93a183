"""Disposable transfer learning: after the transfer, the source task is to be thrown away.

A network is pre-trained on some classes of a data set (the source), then tuned to others (the target). It has served
its purpose, and its owner wants to give it away without giving the source away: whoever gets it and has a few labelled
source images shall be no better off than with a network that never saw the source (Koh et al., ICCV 2023,
arXiv:2308.09971). Attacker and test rows are seen by no method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge
from pydantic import field_validator, model_validator
from torch import Tensor, nn

from bench.data import select
from bench.data.spec import Rows, Split
from bench.errors import SuiteError
from bench.lab import Lab, Setup
from bench.metrics.metric import Metric
from bench.models.layers import Classifier
from bench.models.spec import ModelSpec
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.class_tasks import of_classes, places, standard
from bench.scenarios.dispose.piggyback import PIGGYBACK, Piggyback, piggyback_accuracy, rebuilt
from bench.scenarios.judging import CLASSIFIER, judge_classifier, logits
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.task.task import Access, Task
from bench.types import Count, Share

METRICS = (
    *CLASSIFIER,
    Metric("accuracy_change", "points", higher_is_better=True, in_table=True),
    *PIGGYBACK,
    Metric("pl_full_spread", "points", higher_is_better=False),
    Metric("source_accuracy", "%", higher_is_better=True, examples="source"),
)
SCRATCH = 2
"""Networks of the target alone, by other seeds than the reference's: what they leak is nothing, give or take noise."""


class DisposeTask(Task):
    """What is given: both recipes; what may be asked for: the transferred network, and the data of either task."""

    model: Annotated[Classifier, Access("weights")]
    """The transferred network theta_T, with a head over the target's classes; in eval mode."""
    source_head: Annotated[nn.Linear, Access("weights")]
    """The head [m, d] that the network had when it was trained on the source, m classes."""
    student: Annotated[Classifier, Access("init")]
    """Untrained, with a head over the target's classes; nobody else's initialisation."""
    source_inputs: Annotated[Tensor, Access("source")]
    """The training inputs of the source's classes, as stored [S, ...]."""
    source_labels: Annotated[Tensor, Access("source")]
    """Their labels as `source_head` counts them, int64 [S]."""
    target_inputs: Annotated[Tensor, Access("target")]
    """The training inputs of the target, as stored [N, ...]."""
    target_labels: Annotated[Tensor, Access("target")]
    """Their labels as the model's head counts them, int64 [N]."""
    validation_source: Annotated[Split, Access("validation")]
    """Images of the source's classes that nothing was trained on, for methods that select; labels as above."""
    validation_target: Annotated[Split, Access("validation")]
    """The same of the target."""
    recipe: Recipe
    """How the network was tuned to the target."""
    pretraining: Recipe
    """How it was trained on the source, as any network is trained from scratch."""


@scenario(
    kind="dispose",
    task=DisposeTask,
    metrics=METRICS,
    headline="pl_full",
    lower="transferred",
    upper="target-scratch",
    references=("untrained",),
)
class Dispose(Settings):
    """A network tuned from a source task to a target task: make it useless for the source, and keep the target.

    A result is a model of the given one's architecture. Its weights and statistics are judged, under the target's head
    that it brings, under the old source head, and under fresh heads.
    """

    tiny: ClassVar[dict[str, object]] = {
        "model": "net",
        "source": (0, 1),
        "target": (2, 3),
        "fine_tune": {"epochs": 1, "batch_size": 8, "peak_lr": 0.05, "augment": "none"},
        "shots": 2,
        "piggyback": {"epochs": 2, "batch_size": 4, "peak_lr": 0.01, "augment": "none"},
    }

    model: str
    """Suite model that is pre-trained, tuned and given back."""
    source: tuple[int, ...]
    """Classes of the source task."""
    target: tuple[int, ...]
    """Classes of the target task, none of them the source's."""
    target_share: Share = 1.0
    """Share of every target class's training rows that there are; each seed draws its own. With few, transfer pays."""
    pretraining: Recipe | None = None
    """How the source is learnt, and the target from scratch; the model's recipe, else the suite's, if unset."""
    fine_tune: Recipe = Recipe(epochs=10, batch_size=64, optimizer="adamw", peak_lr=1e-3, augment="none")
    """How the target is learnt from the source's weights."""
    shots: Count = 60
    """Labelled source images a class that piggyback learning has."""
    piggyback: Recipe = Recipe(
        epochs=15, batch_size=32, optimizer="adamw", peak_lr=2e-3, weight_decay=0.0, augment="none"
    )
    """How piggyback learning trains all weights: the attacker's, not to be told to any method."""
    draws: Annotated[int, Ge(2)] = 2
    """Draws of head and images that piggyback accuracy is the mean of."""

    @field_validator("source", "target")
    @classmethod
    def _two_or_more(cls, classes: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(classes)) < 2 or len(set(classes)) != len(classes):
            raise ValueError("two or more classes are needed, none of them twice")
        return classes

    @model_validator(mode="after")
    def _disjoint(self) -> Dispose:
        shared = sorted(set(self.source) & set(self.target))
        if shared:
            raise ValueError(f"source and target share the classes {shared}; a class is in one of them at most")
        return self

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The network of the source, the one tuned from it to the target, and `SCRATCH` of the target alone.

        The source's head spans all classes of the data set, so that it never has the shape of the target's, which is
        drawn anew; the rows of its classes are the old head.

        Raises:
            SuiteError: an unknown model or class, or a model that cannot be trained as it brings weights of its own.
        """
        for name, classes in (("source", self.source), ("target", self.target)):
            if not set(classes) <= set(range(setup.num_classes)):
                raise SuiteError(
                    f"{name} = {list(classes)}: the data set has {setup.num_classes} classes, 0 to "
                    f"{setup.num_classes - 1}"
                )
        rows = Rows(kind="classes", classes=self.source)
        source = setup.spec(self.model, "source", rows=rows, recipe=self.pretraining)
        if source.weights is not None:
            raise SuiteError(
                f"model {self.model!r} has weights of its own, of which nobody knows what they saw; name a trained one"
            )
        on_target = partial(
            setup.spec,
            self.model,
            rows=Rows(
                kind="random",
                share=self.target_share,
                seed=setup.seed,
                of=Rows(kind="classes", classes=self.target),
            ),
            num_classes=len(self.target),
            relabel=places(self.target, setup.num_classes),
        )
        scratch = {f"scratch-{i}": on_target(role=f"scratch-{i}", recipe=self.pretraining) for i in range(SCRATCH)}
        transferred = on_target(role="transferred", recipe=self.fine_tune, init=source)
        return {"source": source, "transferred": transferred} | scratch

    def prepare(self, lab: Lab) -> Situation:
        """Load the networks; draw the attacker's heads, images and orders, the same for every method of a seed."""
        specs = self.zoo(lab.setup)
        model = standard(lab.model(specs["transferred"]), self.model)
        old = standard(lab.model(specs["source"]), self.model)
        train = lab.dataset.train
        source = of_classes(train, self.source, select(specs["source"].rows, train.labels))
        target = of_classes(train, self.target, select(specs["transferred"].rows, train.labels))
        head = nn.Linear(old.head.in_features, len(self.source)).to(old.head.weight)
        with torch.no_grad():
            head.weight.copy_(old.head.weight[list(self.source)])
            head.bias.copy_(old.head.bias[list(self.source)])
        seen = {name: of_classes(lab.dataset.validation, c) for name, c in self._tasks().items()}
        providers: dict[str, Callable[[], Any]] = {
            "model": lambda: copy.deepcopy(model),
            "source_head": lambda: copy.deepcopy(head),
            "student": lambda: lab.fresh(self.model, "student", len(self.target)),
            "source_inputs": lambda: source.inputs.clone(),
            "source_labels": lambda: source.labels.clone(),
            "target_inputs": lambda: target.inputs.clone(),
            "target_labels": lambda: target.labels.clone(),
            "validation_source": lambda: copy.deepcopy(seen["source"]),
            "validation_target": lambda: copy.deepcopy(seen["target"]),
            "recipe": lambda: self.fine_tune,
            "pretraining": lambda: specs["source"].recipe,
        }
        judge = {
            "model": model,
            "head": head,
            "scratch": [lab.model(specs[f"scratch-{i}"]) for i in range(SCRATCH)],
            "draws": [self._draw(lab, source, number) for number in range(self.draws)],
            "tests": {name: of_classes(lab.dataset.test, classes) for name, classes in self._tasks().items()},
        }
        return Situation(providers, judge)

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:  # noqa: ARG002
        """Piggyback accuracy on the source, which must fall, beside the target's accuracy, which must not.

        `pl_full` and `pl_linear` are accuracies on source test images after piggyback learning (all weights trained;
        frozen backbone), means over the draws; `floor_pl_full` and `floor_pl_linear` are those of networks that never
        saw the source, below which there is nothing to be disposed of, and `pl_full_spread` is their difference, below
        which differences are noise. `accuracy`, nll and ece are the target's, `accuracy_change` is the difference from
        the transferred network's. `source_accuracy`, through the old head, says nothing about disposal.

        Raises:
            BadResult: the result is no module of the given model's architecture, or predicts NaN or infinity.
        """
        judge, tests = situation.judge, situation.judge["tests"]
        returned = rebuilt(result, judge["model"])
        z = logits(returned, tests["target"].inputs, len(self.target))
        metrics, correct = judge_classifier(z, tests["target"])
        before = logits(judge["model"], tests["target"].inputs, len(self.target))
        metrics["accuracy_change"] = metrics["accuracy"] - judge_classifier(before, tests["target"])[0]["accuracy"]
        metrics |= piggyback_accuracy(judge["draws"], returned, tests["source"])
        floor = [piggyback_accuracy(judge["draws"], network, tests["source"]) for network in judge["scratch"]]
        metrics |= {f"floor_{name}": sum(f[name] for f in floor) / SCRATCH for name in floor[0]}
        metrics["pl_full_spread"] = max(f["pl_full"] for f in floor) - min(f["pl_full"] for f in floor)
        returned.head = copy.deepcopy(judge["head"])
        z = logits(returned, tests["source"].inputs, len(self.source))
        old, correct_old = judge_classifier(z, tests["source"])
        metrics["source_accuracy"] = old["accuracy"]
        return Score(metrics, {"test": correct, "source": correct_old})

    def _tasks(self) -> dict[str, tuple[int, ...]]:
        return {"source": self.source, "target": self.target}

    def _draw(self, lab: Lab, source: Split, number: int) -> Piggyback:
        """One draw of the attacker: of each source class `shots` training images, or all, where there are fewer."""
        order = torch.randperm(len(source), generator=lab.generator("dispose", "shots", number))
        labels = source.labels.cpu()[order]
        rows = torch.cat([order[labels == c][: self.shots] for c in range(len(self.source))])
        fresh = standard(lab.fresh(self.model, f"piggyback-{number}", len(self.source)), self.model)
        shots = Split(source.inputs[rows], source.labels[rows])
        return Piggyback(fresh, shots, partial(lab.generator, "dispose", "order", number), self.piggyback, lab.device)
