"""Merging: one initialisation fine-tuned on several tasks, to be made into one backbone that serves them all.

All tasks come from one data set: each is a group of its classes. A task's head is fixed before tuning (class means of
the initialisation's features), so that no head is ever merged. With a held-out `target`, experts exist for the other
tasks only, and what counts is the target.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Gt, Lt
from pydantic import field_validator, model_validator
from torch import Tensor, nn

from bench.data import select
from bench.data.spec import Rows, Split
from bench.errors import SuiteError
from bench.lab import Lab, Setup
from bench.metrics.metric import Metric
from bench.models.layers import Classifier
from bench.models.make import set_class_means_head
from bench.models.spec import ModelSpec
from bench.models.train import recalibrate
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.class_tasks import of_classes, places
from bench.scenarios.judging import AGREEMENT, CLASSIFIER, agreement, judge_classifier
from bench.scenarios.merge.damage import Damage, damaged
from bench.scenarios.merge.judging import Predictor, accuracies, all_logits, predictors
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.task.statistics import diagonal_fisher, gram_matrices
from bench.task.task import Access, Task
from bench.types import Count

METRICS = (
    *CLASSIFIER,
    AGREEMENT,
    Metric("task_mean", "%", higher_is_better=True),
    Metric("normalised_accuracy", "%", higher_is_better=True),
    Metric("accuracy_task_#", "%", higher_is_better=True),
)


class MergeTask(Task):
    """What is given: the initialisation, the experts tuned from it, and the fixed heads of the tasks that count.

    A task counts if results are scored on it: every task, or the held-out target alone. `state_dict()` has the same
    keys in `init` and in every parent, and the same shapes but for the head (`head.weight`, `head.bias`).
    """

    init: Annotated[Classifier, Access("weights")]
    """The initialisation theta_0, with a head over all classes of the data set (of no use to the tasks)."""
    parents: Annotated[list[Classifier], Access("weights")]
    """The experts, one a task (but the target), each with its own head; in eval mode."""
    heads: Annotated[list[nn.Linear], Access("weights")]
    """The fixed head [m, d] of each task that counts; without a target those of the parents, in their order."""
    experts: Annotated[list[Classifier], Access("experts")]
    """The own expert of each task that counts: for the upper reference only."""
    grams: Annotated[list[dict[str, Tensor]], Access("grams")]
    """Per parent, Gram matrices of the inputs of its layers on its own training images (`bench.task.statistics`)."""
    fishers: Annotated[list[dict[str, Tensor]], Access("fisher")]
    """Per parent, the diagonal Fisher information of its parameters on its own training images."""
    unlabeled: Annotated[list[Tensor], Access("unlabeled")]
    """Training inputs of each task that counts, as stored [N, ...]."""
    unlabeled_test: Annotated[list[Tensor], Access("unlabeled-test")]
    """The test inputs of each task that counts, without their labels, as stored [N, ...]: for transductive methods."""
    inputs: Annotated[list[Tensor], Access("labels")]
    """The few labelled training inputs of each task that counts, as stored [N, ...]: `shots` a class."""
    labels: Annotated[list[Tensor], Access("labels")]
    """Their labels as the task's head counts them, int64 [N]."""
    recipe: Recipe
    """The budget of whatever is trained on the few labelled images."""
    all_inputs: Annotated[list[Tensor], Access("joint")]
    """All training inputs of each task that counts, as stored [N, ...]: for joint training, an upper reference."""
    all_labels: Annotated[list[Tensor], Access("joint")]
    """Their labels as the task's head counts them, int64 [N]."""
    fine_tune: Recipe
    """How each expert was tuned from the initialisation, on its own task's images."""


@scenario(
    kind="merge",
    task=MergeTask,
    metrics=METRICS,
    lower="initialisation",
    upper="experts",
    references=("average",),
)
class Merge(Settings):
    """Experts tuned from one initialisation on different tasks: merge them into one backbone.

    A result is one backbone, a module whose `state_dict()` has the names and shapes of the initialisation's, the head
    aside: it is scored through `features` and each task's fixed head. Or it is a list of predictors, one a task that
    counts, each giving that task's logits [B, m]: for references that keep a network a task.
    """

    tiny: ClassVar[dict[str, object]] = {
        "base": "net",
        "parts": 2,
        "base_share": 0.5,
        "fine_tune": {"epochs": 1, "batch_size": 8, "peak_lr": 0.05, "augment": "none"},
        "shots": 2,
        "sample": 6,
        "tune": {"epochs": 2, "batch_size": 4, "peak_lr": 0.01, "augment": "none"},
    }

    base: str
    """Suite model that the initialisation is."""
    tasks: tuple[tuple[int, ...], ...] = ()
    """The classes of each task, e.g. [[0, 1], [2, 3]]; each class in at most one task."""
    parts: Annotated[int, Ge(2)] | None = None
    """In place of `tasks`: so many tasks, the classes dealt out in order."""
    base_share: Annotated[float, Gt(0), Lt(1)] = 0.1
    """Share of the training rows, of all classes, that the initialisation is trained on; the tasks have the rest."""
    base_recipe: Recipe | None = None
    """How the initialisation is trained; the recipe of its model, if unset."""
    fine_tune: Recipe = Recipe(epochs=4, batch_size=64, optimizer="adamw", peak_lr=1e-3, augment="none")
    """How each expert is tuned from the initialisation."""
    recalibrate: bool = False
    """Before scoring, re-estimate the BatchNorm statistics of every row on each task's unlabelled images."""
    target: Annotated[int, Ge(0)] | None = None
    """Number of the task that is held out; there is no expert for it but the upper reference."""
    sources: Annotated[int, Ge(1)] | None = None
    """With a target: only the first so many of the other tasks have an expert; all of them, if unset."""
    damage: Damage = "none"
    """What was done to the experts before anybody sees them: nothing; all task vectors lost `PRUNED` of their weights,
    the smallest, tensor by tensor; or the first one got noise (`bench.scenarios.merge.damage`)."""
    shots: Count = 16
    """Labelled training images a class, of the tasks that count."""
    sample: Count = 256
    """Training images a task that statistics, unlabelled access and recalibration use."""
    tune: Recipe = Recipe(epochs=20, batch_size=32, optimizer="adamw", peak_lr=1e-3, weight_decay=0.0, augment="none")
    """How a method trains on the labelled images."""

    @field_validator("tasks")
    @classmethod
    def _disjoint(cls, tasks: tuple[tuple[int, ...], ...]) -> tuple[tuple[int, ...], ...]:
        classes = [c for task in tasks for c in task]
        if len(tasks) == 1 or any(len(task) < 2 for task in tasks) or len(set(classes)) != len(classes):
            raise ValueError("two or more tasks of two or more classes each are needed, no class twice")
        return tasks

    @model_validator(mode="after")
    def _one_split(self) -> Merge:
        if bool(self.tasks) == (self.parts is not None):
            raise ValueError("exactly one of tasks and parts is needed")
        count = self.parts or len(self.tasks)
        if self.target is not None and self.target >= count:
            raise ValueError(f"target must be one of the tasks 0 to {count - 1}")
        if self.sources is not None and (self.target is None or self.sources >= count):
            raise ValueError(f"sources goes with a target, and may be 1 to {count - 1}, the number of the other tasks")
        return self

    def groups(self, num_classes: int) -> tuple[tuple[int, ...], ...]:
        """The classes of each task.

        Raises:
            SuiteError: they do not fit the classes of the data set.
        """
        if self.parts is None:
            groups = self.tasks
        else:
            groups = tuple(tuple(part.tolist()) for part in torch.arange(num_classes).tensor_split(self.parts))
        known = range(num_classes)
        if any(len(group) < 2 or any(c not in known for c in group) for group in groups):
            asked = f"parts = {self.parts}" if self.parts else f"tasks = {[list(group) for group in groups]}"
            raise SuiteError(f"{asked} does not fit a data set of {num_classes} classes (each task needs two or more)")
        return groups

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The initialisation and one expert a task: the same networks whatever the target."""
        init = setup.spec(self.base, "init", rows=self._base_rows(setup), recipe=self.base_recipe)
        specs = {"init": init}
        for number, group in enumerate(self.groups(setup.num_classes)):
            specs[f"expert-{number}"] = setup.spec(
                self.base,
                f"expert-{number}",
                rows=self._task_rows(setup, group),
                recipe=self.fine_tune,
                init=init,
                num_classes=len(group),
                relabel=places(group, setup.num_classes),
                head="class-means",
            )
        return specs

    def prepare(self, lab: Lab) -> Situation:
        """Load initialisation and experts; draw shots and samples, the same for every method of a seed."""
        groups = self.groups(lab.setup.num_classes)
        specs = self.zoo(lab.setup)
        init = lab.model(specs["init"])
        experts = [lab.model(specs[f"expert-{t}"]) for t in range(len(groups))]
        counting = [t for t in range(len(groups)) if self.target in (None, t)]
        sources = [t for t in range(len(groups)) if t != self.target][: self.sources]
        train = [self._task_train(lab, group) for group in groups]
        samples = [_sample(split, self.sample, lab.generator("merge", "sample", t)) for t, split in enumerate(train)]
        parents = damaged(self.damage, init, [experts[t] for t in sources], lab.generator("merge", "damage"))
        owners = list(zip(parents, [samples[t] for t in sources], strict=True))
        shots = [_shots(train[t], self.shots, lab.generator("merge", "shots", t)) for t in counting]
        if self.target is None:
            heads = [copy.deepcopy(experts[t].head) for t in counting]
        else:
            heads = [_few_shot_head(init, shots[0], len(groups[self.target]))]
        for head in heads:
            head.requires_grad_(False)
        tests = [of_classes(lab.dataset.test, groups[t]) for t in counting]
        providers: dict[str, Callable[[], Any]] = {
            "init": lambda: copy.deepcopy(init),
            "parents": lambda: copy.deepcopy(parents),
            "heads": lambda: copy.deepcopy(heads),
            "experts": lambda: [copy.deepcopy(experts[t]) for t in counting],
            "grams": lambda: [gram_matrices(parent, own, lab.device) for parent, own in owners],
            "fishers": lambda: [diagonal_fisher(parent, own, lab.device) for parent, own in owners],
            "unlabeled": lambda: [samples[t].clone() for t in counting],
            "unlabeled_test": lambda: [test.inputs.clone() for test in tests],
            "inputs": lambda: [shot.inputs.clone() for shot in shots],
            "labels": lambda: [shot.labels.clone() for shot in shots],
            "recipe": lambda: self.tune,
            "all_inputs": lambda: [train[t].inputs.clone() for t in counting],
            "all_labels": lambda: [train[t].labels.clone() for t in counting],
            "fine_tune": lambda: self.fine_tune,
        }
        judge = {
            "init": init,
            "heads": heads,
            "experts": [experts[t] for t in counting],
            "tests": tests,
            "samples": [samples[t] for t in counting],
            "numbers": counting,
        }
        return Situation(providers, judge)

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """accuracy, nll and ece over all test examples of the tasks that count, each under its own task's head.

        `task_mean` is the mean of the tasks' accuracies, `normalised_accuracy` the mean of accuracy / accuracy of the
        task's own expert (absent where an expert has none right), `agreement` that with the experts' predictions.
        """
        judge = situation.judge
        heads, tests = judge["heads"], judge["tests"]
        z = all_logits(self._ready(predictors(result, judge["init"], heads), situation, lab), tests, heads)
        z_experts = all_logits(self._ready(judge["experts"], situation, lab), tests, heads)
        labels = torch.cat([test.labels for test in tests])
        metrics, correct = judge_classifier(z, Split(torch.cat([test.inputs for test in tests]), labels))
        metrics["agreement"] = agreement(z, z_experts)
        sizes = [len(test) for test in tests]
        own, best = accuracies(z, labels, sizes), accuracies(z_experts, labels, sizes)
        metrics["task_mean"] = sum(own) / len(own)
        if min(best) > 0:
            metrics["normalised_accuracy"] = sum(a / b for a, b in zip(own, best, strict=True)) / len(own)
        metrics |= {f"accuracy_task_{t}": a for t, a in zip(judge["numbers"], own, strict=True)}
        return Score(metrics, {"test": correct})

    def _ready(self, predictors: Sequence[Predictor], situation: Situation, lab: Lab) -> list[Predictor]:
        """The predictors as they are, or copies with statistics of each task's images."""
        if not self.recalibrate:
            return list(predictors)
        ready = copy.deepcopy(list(predictors))
        for predictor, images in zip(ready, situation.judge["samples"], strict=True):
            if isinstance(predictor, nn.Module):
                recalibrate(predictor, images, lab.device)
        return ready

    def _base_rows(self, setup: Setup) -> Rows:
        return Rows(kind="random", share=self.base_share, seed=setup.seed)

    def _task_rows(self, setup: Setup, group: tuple[int, ...]) -> Rows:
        return Rows(kind="classes", classes=group, of=Rows(kind="without", minus=self._base_rows(setup)))

    def _task_train(self, lab: Lab, group: tuple[int, ...]) -> Split:
        train = lab.dataset.train
        rows = select(self._task_rows(lab.setup, group), train.labels)
        return of_classes(Split(train.inputs[rows], train.labels[rows]), group)


def _shots(split: Split, count: int, generator: torch.Generator) -> Split:
    """`count` random examples a class (all of them, where there are fewer)."""
    order = torch.randperm(len(split), generator=generator).to(split.labels.device)
    labels = split.labels[order]
    rows = torch.cat([order[labels == c][:count] for c in labels.unique()])
    return Split(split.inputs[rows], split.labels[rows])


def _sample(split: Split, count: int, generator: torch.Generator) -> Tensor:
    order = torch.randperm(len(split), generator=generator).to(split.inputs.device)
    return split.inputs[order[:count]]


def _few_shot_head(init: nn.Module, shots: Split, num_classes: int) -> nn.Linear:
    """The head of a target without an expert: class means of the initialisation's features on the labelled images."""
    model = copy.deepcopy(init)
    assert isinstance(model, Classifier)  # only a standard model has experts with class-means heads
    old = model.head.weight
    model.head = nn.Linear(old.shape[1], num_classes, device=old.device, dtype=old.dtype)
    set_class_means_head(model, shots)
    return model.head
