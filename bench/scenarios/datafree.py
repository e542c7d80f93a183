"""Data-free distillation: a trained teacher, an untrained student, and no data."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

from torch import Tensor, nn

from bench.lab import Bench, Lab
from bench.models.spec import ModelSpec
from bench.recipe import Recipe
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.judging import agreement, judge_classifier, logits
from bench.settings import Settings
from bench.task import Access, Task
from bench.types import Count, Rate, Weight


class DataFreeTask(Task):
    """What is given: the teacher with its BatchNorm statistics and its normaliser, the student, the budget."""

    teacher: Annotated[nn.Module, Access("weights")]
    """In eval mode, its parameters not requiring gradients; gradients do flow through it to its input.
    Like every standard model it takes pixels in [0, 1] and normalises inside (`teacher.normalize`)."""
    student: nn.Module
    """Untrained, and the same for every method of a seed."""
    images: Annotated[Tensor, Access("unlabeled", "labels")]
    """The real training images, uint8 [N, C, H, W]: for the references only."""
    labels: Annotated[Tensor, Access("labels")]
    """Their labels, int64 [N]."""
    steps: int
    """Updates of the student: the budget."""
    batch_size: int
    """Images that the student sees in one update."""
    lr: float
    """First learning rate of the student's SGD; it falls to zero along a cosine."""
    weight_decay: float
    temperature: float
    """Of the softened probabilities that distillation by KL divergence compares."""
    recipe: Recipe
    """For training on labels: the suite's recipe with `steps` updates of `batch_size` images in whole epochs.
    Its augmentation is also that of every pool or set of images that a student is distilled on."""


@scenario(
    kind="datafree",
    task=DataFreeTask,
    lower="kd-noise",
    upper="kd-real",
    references=("teacher", "scratch"),
)
class DataFree(Settings):
    """A trained teacher and no data: train a student that classifies like it."""

    tiny: ClassVar[dict[str, object]] = {"teacher": "wide", "student": "net", "steps": 3, "batch_size": 8}

    teacher: str
    """Suite model that is trained on the data."""
    student: str
    """Suite model that the student is built like."""
    steps: Count = 2000
    """Updates of the student, in every row of the board."""
    batch_size: Count = 64
    """Images that the student sees in one update."""
    lr: Rate = 0.1
    """First learning rate of the student's SGD (momentum 0.9, cosine to zero, gradient norm clipped at 5)."""
    weight_decay: Weight = 1e-4
    temperature: Rate = 4.0
    """Of distillation; the papers' harness uses 20, which short budgets bear less well."""

    def zoo(self, bench: Bench) -> dict[str, ModelSpec]:
        """The teacher. Raises SuiteError where the suite lacks a model, the student included."""
        bench.spec(self.student, "student")
        return {"teacher": bench.spec(self.teacher, "teacher")}

    def prepare(self, lab: Lab) -> Situation:
        """Load the teacher; real images are opened to the references alone."""
        teacher = lab.device.place(lab.model(self.zoo(lab.bench)["teacher"])).requires_grad_(False)
        train = lab.dataset.train
        providers: dict[str, Callable[[], Any]] = {
            "teacher": lambda: copy.deepcopy(teacher),
            "student": lambda: lab.fresh(self.student, "student"),
            "images": train.images.clone,
            "labels": train.labels.clone,
            "steps": lambda: self.steps,
            "batch_size": lambda: self.batch_size,
            "lr": lambda: self.lr,
            "weight_decay": lambda: self.weight_decay,
            "temperature": lambda: self.temperature,
            "recipe": lambda: self._recipe(lab.bench, len(train)),
        }
        return Situation(providers, {"teacher": teacher, "test": lab.dataset.test})

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """Accuracy, nll and ece on the test images, agreement with the teacher, and the teacher's accuracy."""
        test = situation.judge["test"]
        classes = lab.bench.num_classes
        z = logits(result, test.images, classes)  # type: ignore[arg-type]  # it checks for itself what it was given
        z_teacher = logits(situation.judge["teacher"], test.images, classes)
        metrics, correct = judge_classifier(z, test)
        metrics["agreement"] = agreement(z, z_teacher)
        metrics["teacher_accuracy"] = float((z_teacher.argmax(1) == test.labels.cpu()).double().mean())
        return Score(metrics, {"test": correct})

    def _recipe(self, bench: Bench, images: int) -> Recipe:
        """The student's recipe (its own or the suite's) at this scenario's budget, in whole epochs."""
        recipe = bench.models[self.student].recipe or bench.recipe
        batch_size = min(self.batch_size, images)
        epochs = max(1, round(self.steps / (images // batch_size)))
        return recipe.model_copy(update={"batch_size": batch_size, "epochs": epochs})
