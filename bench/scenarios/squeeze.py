"""Squeezing: a wide trained network into a narrow one of equal depth, with the training data at hand."""

from __future__ import annotations

import copy
from typing import Annotated, ClassVar

from torch import Tensor, nn

from bench.data.spec import Rows
from bench.lab import Lab, Setup
from bench.models.spec import ModelSpec
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.distill import STUDENT, judge_student, student_recipe
from bench.scenarios.judging import size
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.task.black_box import BlackBox
from bench.task.task import Access, Task
from bench.types import Share


class SqueezeTask(Task):
    """What is given: a narrow untrained student and its recipe; what may be asked for: weights, outputs, data."""

    teacher: Annotated[nn.Module, Access("weights")]
    """The wide network, in eval mode, its parameters not requiring gradients."""
    teacher_outputs: Annotated[BlackBox, Access("outputs")]
    """The same network, closed: logits [B, C] of what `as_input` gives, without gradient."""
    small: Annotated[nn.Module, Access("weights")]
    """A network of the student's architecture that was trained before, on a share of the images."""
    student: nn.Module
    """Untrained, and the same for every method of a seed."""
    inputs: Annotated[Tensor, Access("unlabeled", "labels")]
    """The training inputs, as stored [N, ...]."""
    labels: Annotated[Tensor, Access("labels")]
    """Their labels, int64 [N]."""
    recipe: Recipe
    """How long and how any student is trained: the same for every row of a board."""


@scenario(
    kind="squeeze",
    task=SqueezeTask,
    metrics=STUDENT,
    lower="scratch",
    upper="kd",
    references=("teacher", "finetune-small", "subnetwork"),
    takes=("images", "texts", "tables"),
)
class Squeeze(Settings):
    """A wide trained network and its data: make a good network of the narrow shape."""

    tiny: ClassVar[dict[str, object]] = {"teacher": "wide", "student": "net", "small_fraction": 0.5}

    teacher: str
    """Suite model that is squeezed; trained on all training images."""
    student: str
    """Suite model of the narrow shape; the same architecture at another width, as a rule."""
    fraction: Share = 1.0
    """Share of every class's training images that is at hand; each seed draws its own."""
    small_fraction: Share = 0.2
    """Share of all training images that the pretrained small model was trained on."""
    small_recipe: Recipe | None = None
    """How it was trained; as the student's model says, if unset."""
    recipe: Recipe | None = None
    """The student's recipe; its model's, else the suite's, if unset."""

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The wide teacher and the pretrained small model."""
        rows = Rows(kind="random", share=self.small_fraction, seed=setup.seed)
        small = setup.spec(self.student, "small", rows=rows, recipe=self.small_recipe)
        return {"teacher": setup.spec(self.teacher, "teacher"), "small": small}

    def prepare(self, lab: Lab) -> Situation:
        """Load both networks and draw the images."""
        from bench.data import select

        models = {role: lab.model(spec).requires_grad_(False) for role, spec in self.zoo(lab.setup).items()}
        teacher, small = models["teacher"], models["small"]
        train = lab.dataset.train
        rows = select(Rows(kind="random", share=self.fraction, seed=lab.setup.seed), train.labels)
        providers = {
            "teacher": lambda: copy.deepcopy(teacher),
            "teacher_outputs": lambda: BlackBox(copy.deepcopy(teacher)),
            "small": lambda: copy.deepcopy(small).requires_grad_(True),
            "student": lambda: lab.fresh(self.student, "student"),
            "inputs": lambda: train.inputs[rows],
            "labels": lambda: train.labels[rows],
            "recipe": lambda: self.recipe or student_recipe(lab.setup, self.student),
        }
        return Situation(providers, {"teacher": teacher, "test": lab.dataset.test}, size=size(small))

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """Accuracy, nll, ece, agreement with the teacher, the teacher's accuracy, size.

        `parameters` counts weights that are not zero, so that a pruned network counts for what it keeps.
        """
        judge = situation.judge
        score = judge_student(result, judge["teacher"], judge["test"], lab.setup.num_classes)
        if isinstance(result, nn.Module):
            score.metrics["parameters"] = float(sum(int(p.count_nonzero()) for p in result.parameters()))
        return score
