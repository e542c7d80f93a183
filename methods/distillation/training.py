"""The loop that the methods of this family share: one training by the student's recipe, with a loss over what both saw.

A method gives a loss of a `Batch`: what student and teacher showed of it (logits, embedding, stages), its labels, and
how far training is. Networks that a method trains along (`connectors`) bridge unequal widths; they stay behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import chain

import torch
from torch import Tensor, nn

from bench import Skip
from bench.device import as_input
from bench.models.stages import Stage, as_map
from bench.models.train import fit
from bench.scenarios.distill import DistillTask
from bench.scenarios.squeeze import SqueezeTask
from methods.watching import watching

AT_ONCE = 500
"""Inputs that the teacher is shown at a time, where it is shown all of them beforehand."""

Pairs = Sequence[tuple[Stage, Stage]]
"""(student's stage, teacher's stage), as `bench.models.stages.matched` gives them."""


@dataclass(frozen=True)
class Seen:
    """What a network showed of a batch in one pass."""

    logits: Tensor
    """[B, C]."""
    stages: tuple[tuple[Stage, Tensor], ...] = ()
    """The stages that were asked for, and what their modules showed."""
    taken: Tensor | None = field(default=None, repr=False)
    """What the layer named `head` took, if there is one."""

    @property
    def embedding(self) -> Tensor:
        """What the head took [B, D]. Raises Skip where the network has no layer of this name."""
        if self.taken is None:
            raise Skip("needs embeddings, and one of the networks has no layer named 'head', whose input they would be")
        return self.taken

    @property
    def before(self) -> list[Tensor]:
        """Of each stage the activation before its last ReLU, as maps [B, C, H, W]."""
        return [as_map(shown) for _, shown in self.stages]

    @property
    def maps(self) -> list[Tensor]:
        """Of each stage the activation, as maps [B, C, H, W]."""
        return [as_map(shown.relu() if stage.relu else shown) for stage, shown in self.stages]


@dataclass(frozen=True)
class Batch:
    """One step of training, as a method's loss receives it."""

    student: Seen
    teacher: Seen
    """Without gradient."""
    labels: Tensor
    """int64 [B]."""
    index: Tensor
    """Rows of the task's inputs, int64 [B]."""
    done: float
    """Share of all steps that lie behind, in [0, 1)."""
    hard: Tensor
    """Cross-entropy of the student with the labels, smoothed as the recipe says; a mean over the batch."""

    def ramp(self, warmup: float) -> float:
        """A weight that rises in a straight line from 0 to 1 in the first `warmup` share of training."""
        return min(self.done / warmup, 1.0) if warmup else 1.0


Objective = Callable[[Batch], Tensor]
"""A method's whole loss of a batch, a scalar."""


def distil_outputs(task: DistillTask, objective: Objective, *, connectors: Iterable[nn.Module] = ()) -> nn.Module:
    """Train the student with a loss that needs the teacher's logits and nothing else of it.

    Args:
        task: with the accesses `outputs` and `labels`.
        objective: the loss.
        connectors: networks that are trained along with the student, by its recipe.

    Returns:
        The student alone.
    """
    with seeing(task.student) as student:
        teacher = answers(task, lambda x: Seen(task.teacher_outputs(x)))
        return _train(task, objective, student, teacher, connectors)


def distil_features(
    task: DistillTask | SqueezeTask, objective: Objective, *, pairs: Pairs = (), connectors: Iterable[nn.Module] = ()
) -> nn.Module:
    """Train the student with a loss that looks into both networks.

    Args:
        task: with the accesses `weights` and `labels`.
        objective: the loss.
        pairs: the stages that it looks at.
        connectors: networks that are trained along with the student, by its recipe.

    Returns:
        The student alone, without a hook.
    """
    with both(task, pairs) as (student, teacher):
        return _train(task, objective, student, answers(task, teacher, pairs), connectors)


def first_look(task: DistillTask, pairs: Pairs = ()) -> tuple[Seen, Seen]:
    """What untrained student and teacher show of one input: the shapes that connectors must fit."""
    task.student.eval()
    with both(task, pairs) as (student, teacher), torch.no_grad():
        x = as_input(task.inputs[:1].to(task.device))
        return student(x), teacher(x)


def same_size(a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """Two maps [B, C, H, W] of one height and width: the larger one is averaged down to the smaller."""
    height, width = min(a.shape[2:], b.shape[2:])
    if a.shape[2:] != (height, width):
        a = nn.functional.adaptive_avg_pool2d(a, (height, width))
    if b.shape[2:] != (height, width):
        b = nn.functional.adaptive_avg_pool2d(b, (height, width))
    return a, b


See = Callable[[Tensor], Seen]
Answers = Callable[[Tensor, Tensor], Seen]
"""answers(x, index): what the teacher shows of the inputs x, which are the task's rows `index`."""


def answers(task: DistillTask | SqueezeTask, teacher: See, pairs: Pairs = ()) -> Answers:
    """What the teacher shows, without gradient; where no augmentation changes its inputs, each is shown to it once.

    Stages are not kept: their maps are many times larger than the images.
    """

    @torch.no_grad()
    def now(x: Tensor, index: Tensor) -> Seen:  # noqa: ARG001
        return teacher(x)

    if task.recipe.augment != "none" or pairs:
        return now
    with torch.no_grad(), task.compute.autocast():
        parts = [teacher(as_input(part.to(task.device))) for part in task.inputs.split(AT_ONCE)]
    logits = torch.cat([part.logits for part in parts])
    taken = [part.taken for part in parts if part.taken is not None]
    embedding = torch.cat(taken) if taken else None
    return lambda _, index: Seen(logits[index], taken=None if embedding is None else embedding[index])


@contextmanager
def both(task: DistillTask | SqueezeTask, pairs: Pairs) -> Iterator[tuple[See, See]]:
    """While it lasts, (student, teacher) each tell what they show of a batch."""
    mine, theirs = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    with seeing(task.student.to(task.device), mine) as student, seeing(task.teacher, theirs) as teacher:
        yield student, teacher


@contextmanager
def seeing(network: nn.Module, stages: Sequence[Stage] = ()) -> Iterator[See]:
    """While it lasts, see(x) calls the network as always and tells what it showed.

    What the modules of stages show is a copy's original: a ReLU that works in place would overwrite it.
    """
    shown: dict[str, Tensor] = {}
    taken: list[Tensor] = []

    def keep(name: str, activation: Tensor) -> Tensor:
        shown[name] = activation
        return activation.clone()

    def see(x: Tensor) -> Seen:
        taken.clear()
        logits = network(x)
        return Seen(logits, tuple((stage, shown[stage.name]) for stage in stages), taken[0] if taken else None)

    head = getattr(network, "head", None)
    with ExitStack() as watches:
        for takes in (True, False):
            modules = {stage.name: network.get_submodule(stage.module) for stage in stages if stage.takes is takes}
            watches.enter_context(watching(modules, keep, inputs=takes))
        if isinstance(head, nn.Module):
            watches.enter_context(watching({"head": head}, lambda _, z: taken.append(z), inputs=True))
        yield see


def _train(
    task: DistillTask | SqueezeTask,
    objective: Objective,
    student: See,
    teacher: Answers,
    connectors: Iterable[nn.Module],
) -> nn.Module:
    done = 0.0
    trained = [task.student, *(task.compute.place(connector).train() for connector in connectors)]

    def progress(step: int, total: int) -> None:
        nonlocal done
        done = step / total
        task.progress(step, total)

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001  # the hooks know it
        goal = teacher(x, index)
        seen = student(x)
        hard = nn.functional.cross_entropy(seen.logits, y, label_smoothing=task.recipe.label_smoothing)
        return objective(Batch(seen, goal, y, index, done, hard))

    fit(
        task.student,
        task.inputs,
        task.labels,
        task.recipe,
        generator=task.generator,
        device=task.compute,
        loss=loss,
        parameters=chain.from_iterable(part.parameters() for part in trained),
        progress=progress,
    )
    return task.student
