"""Distillation with data: a teacher that saw everything, and a student that sees some of it.

A scenario may have more networks than these two: `mentors`, which are trained as the teacher is, and `assistants`,
which are untrained and learn beside the student. A method sees either only by an access of its own.
"""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

import torch
from pydantic import SerializerFunctionWrapHandler, model_serializer
from torch import Tensor, nn

from bench.lab import Lab, Setup
from bench.metrics.metric import Metric
from bench.models.spec import ModelSpec
from bench.registry import scenario
from bench.scenarios import Score, Situation
from bench.scenarios.judging import (
    AGREEMENT,
    CLASSIFIER,
    PARAMETERS,
    TEACHER_ACCURACY,
    accuracy,
    agreement,
    judge_classifier,
    logits,
    size,
)
from bench.schema.recipe import Recipe
from bench.schema.settings import Settings
from bench.task.black_box import BlackBox
from bench.task.task import Access, Task
from bench.types import Share

if TYPE_CHECKING:
    from bench.data.spec import Split

TEACHER_KL = Metric("teacher_kl", "", higher_is_better=False)
STUDENT = (*CLASSIFIER, AGREEMENT, TEACHER_KL, TEACHER_ACCURACY, PARAMETERS)
"""What `judge_student` gives."""
LATER = ("mentors", "assistants")
"""Settings that came later. A key holds them only where they ask for something, so that older keys stay."""


class Panel(nn.Module):
    """Mentors that are asked together: inputs -> logits [M, B, C]."""

    def __init__(self, mentors: Sequence[nn.Module], num_classes: int) -> None:
        super().__init__()
        self.mentors = nn.ModuleList(mentors)
        self.num_classes = num_classes
        self.normalize = nn.Identity()
        """Where the meter counts samples: once for each mentor."""

    def forward(self, x: Tensor) -> Tensor:
        """What `as_input` gives [B, ...] -> logits [M, B, C]."""
        logits = [mentor(self.normalize(x)) for mentor in self.mentors]
        return torch.stack(logits) if logits else torch.empty(0, len(x), self.num_classes, device=x.device)


class DistillTask(Task):
    """What is given: an untrained student and its recipe; what may be asked for: the teacher, images, labels."""

    teacher: Annotated[nn.Module, Access("weights")]
    """In eval mode, its parameters not requiring gradients."""
    teacher_outputs: Annotated[BlackBox, Access("outputs")]
    """The same teacher, closed: logits [B, C] of what `as_input` gives, without gradient."""
    mentor_outputs: Annotated[BlackBox, Access("mentors")]
    """The mentors, asked together and closed: logits [M, B, C], without gradient; M is 0 on a board without mentors."""
    assistants: Annotated[list[nn.Module], Access("assistants")]
    """Further untrained networks, the same for every method of a seed; none on a board without assistants."""
    student: nn.Module
    """Untrained, and the same for every method of a seed."""
    inputs: Annotated[Tensor, Access("unlabeled", "labels")]
    """The student's share of the training inputs, as stored [N, ...]."""
    labels: Annotated[Tensor, Access("labels")]
    """Their labels, int64 [N]."""
    recipe: Recipe
    """How long and how the student is trained: the same for every row of a board."""


@scenario(
    kind="distill",
    task=DistillTask,
    metrics=STUDENT,
    lower="scratch",
    upper="teacher",
    takes=("images", "texts", "tables"),
)
class Distill(Settings):
    """A trained teacher and some of its data: train a smaller student that does better than on the labels alone."""

    tiny: ClassVar[dict[str, object]] = {
        "teacher": "wide",
        "student": "net",
        "fraction": 0.5,
        "mentors": ["net"],
        "assistants": ["wide"],
    }

    teacher: str
    """Suite model that is trained on all training images."""
    student: str
    """Suite model that the student is built like."""
    fraction: Share = 1.0
    """Share of every class's training images that the student sees; each seed draws its own. What the teacher has
    seen beyond them is knowledge that the student cannot have from its data."""
    recipe: Recipe | None = None
    """The student's recipe; its model's, else the suite's, if unset."""
    mentors: tuple[str, ...] = ()
    """Suite models that are trained on all training images too, for methods that learn from several networks."""
    assistants: tuple[str, ...] = ()
    """Suite models, left untrained, for methods that train several networks together."""

    @model_serializer(mode="wrap")
    def _told(self, dump: SerializerFunctionWrapHandler) -> dict[str, Any]:
        told: dict[str, Any] = dump(self)
        return {name: value for name, value in told.items() if value or name not in LATER}

    def zoo(self, setup: Setup) -> dict[str, ModelSpec]:
        """The teacher and the mentors. A student or assistant that the suite does not have is refused here."""
        for untrained in (self.student, *self.assistants):
            student_recipe(setup, untrained)
        mentors = {f"mentors[{i}]": setup.spec(name, f"mentor-{i}") for i, name in enumerate(self.mentors)}
        return {"teacher": setup.spec(self.teacher, "teacher")} | mentors

    def prepare(self, lab: Lab) -> Situation:
        """Load the teacher and the mentors, and draw the student's images."""
        from bench.data import select
        from bench.data.spec import Rows

        trained = {role: lab.model(spec).requires_grad_(False) for role, spec in self.zoo(lab.setup).items()}
        teacher = trained.pop("teacher")
        train = lab.dataset.train
        rows = select(Rows(kind="random", share=self.fraction, seed=lab.setup.seed), train.labels)
        providers = {
            "teacher": lambda: copy.deepcopy(teacher),
            "teacher_outputs": lambda: BlackBox(copy.deepcopy(teacher)),
            "mentor_outputs": lambda: BlackBox(Panel(copy.deepcopy(list(trained.values())), lab.setup.num_classes)),
            "assistants": lambda: [lab.fresh(name, f"assistant-{i}") for i, name in enumerate(self.assistants)],
            "student": lambda: lab.fresh(self.student, "student"),
            "inputs": lambda: train.inputs[rows],
            "labels": lambda: train.labels[rows],
            "recipe": lambda: self.recipe or student_recipe(lab.setup, self.student),
        }
        wanted = size(lab.fresh(self.student, "student"))
        return Situation(providers, {"teacher": teacher, "test": lab.dataset.test}, size=wanted)

    def score(self, situation: Situation, result: object, lab: Lab) -> Score:
        """Accuracy, nll, ece, agreement with the teacher, the teacher's accuracy, size."""
        return judge_student(result, situation.judge["teacher"], situation.judge["test"], lab.setup.num_classes)


def student_recipe(setup: Setup, student: str) -> Recipe:
    """The recipe that a suite gives for a student: its model's, else its own. Raises SuiteError for an unknown name."""
    return setup.spec(student, "student").recipe


def judge_student(result: object, teacher: nn.Module, test: Split, num_classes: int) -> Score:
    """Score a returned student (a model or predictor) beside its teacher.

    Metrics: accuracy, nll, ece, `agreement` (share of test images on which both choose one class), `teacher_kl` (mean
    KL(p_teacher || p_student) in nats), `teacher_accuracy`, and for a module `parameters`, the number of its weights.

    Raises:
        BadResult: it cannot be judged.
    """
    z = logits(result, test.inputs, num_classes)  # type: ignore[arg-type]  # it checks for itself what it was given
    z_teacher = logits(teacher, test.inputs, num_classes)
    metrics, correct = judge_classifier(z, test)
    metrics["agreement"] = agreement(z, z_teacher)
    metrics["teacher_kl"] = float(
        nn.functional.kl_div(
            z.double().log_softmax(1), z_teacher.double().log_softmax(1), reduction="batchmean", log_target=True
        )
    )
    metrics["teacher_accuracy"] = accuracy(z_teacher, test.labels)
    if isinstance(result, nn.Module):
        metrics["parameters"] = float(size(result))
    return Score(metrics, {"test": correct})
