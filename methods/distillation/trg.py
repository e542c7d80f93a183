"""Knowledge Distillation via Token-level Relationship Graph.

Shuoxi Zhang, Hanpeng Liu and Kun He, 2023, arXiv:2306.12442.

The student takes over how the parts of images relate, beside the teacher's logits. Tokens are those of a transformer,
or the last feature map in patches. Three losses look at them: inner (how the tokens of an image attend to each other),
local (who is whose near neighbour among tokens of the whole batch), global (a token's own partner in the other network
is told from all others). Inner and local losses compare relations and need no equal widths; the global one takes a
linear layer from the student's tokens to the teacher's.

There is no public code, and the paper's weights, numbers of neighbours and of tokens, and temperatures were not to be
had: those here are this project's. Logits are distilled as `kd` does it. A graph's width sigma is the median squared
distance of its own tokens, and a token is no neighbour of its own. The teacher's graph is the target of the divergence.
Maps of two sizes are averaged down to the smaller first; a map with a token for each pixel in the other network is not
cut into patches.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from bench import method
from bench.models.stages import matched
from bench.scenarios.distill import DistillTask
from bench.types import Count, Fraction, Rate, Weight
from methods.distillation.losses import distillation_kl
from methods.distillation.training import Batch, Seen, distil_features, first_look, same_size


@method(family="distillation", scenario="distill", access={"weights", "labels"}, paper="arXiv:2306.12442", year=2023)
def trg(
    task: DistillTask,
    *,
    inner_weight: Weight = 1.0,
    local_weight: Weight = 0.5,
    global_weight: Weight = 0.1,
    tokens: Count = 4,
    neighbours: Count = 8,
    patch: Count = 2,
    alpha: Fraction = 0.1,
    temperature: Rate = 4.0,
    start_temperature: Rate = 0.5,
    end_temperature: Rate = 0.07,
) -> nn.Module:
    """Token relations: how parts of images attend to each other, who is whose neighbour, and which belong together.

    Args:
        inner_weight: of how the tokens of each image attend to each other.
        local_weight: of the graphs of near neighbours.
        global_weight: of the contrast between a token's partner and all others.
        tokens: drawn from each image for the latter two, at the same places in both networks.
        neighbours: of each token in a graph.
        patch: side of the patches that feature maps are cut into, in pixels.
        alpha: weight of the labels' cross-entropy; the softened divergence of logits weighs 1 - alpha.
        temperature: of the softened probabilities.
        start_temperature: of the contrast, when training starts.
        end_temperature: of the contrast, when it ends; on a cosine between the two.
    """
    pair = matched(task.student, task.teacher)[-1:]
    mine, theirs = tokens_of(*first_look(task, pair), patch)
    project = nn.Linear(mine.shape[2], theirs.shape[2])

    def loss(batch: Batch) -> Tensor:
        value = alpha * batch.hard
        value = value + (1 - alpha) * distillation_kl(batch.student.logits, batch.teacher.logits, temperature)
        student, teacher = tokens_of(batch.student, batch.teacher, patch)
        if inner_weight:
            value = value + inner_weight * inner_loss(student, teacher)
        if local_weight or global_weight:
            student, teacher = drawn(student, teacher, tokens)
        if local_weight:
            value = value + local_weight * local_loss(student, teacher, neighbours)
        if global_weight:
            tau = cosine(start_temperature, end_temperature, batch.done)
            value = value + global_weight * contrast(project(student), teacher, tau)
        return value

    return distil_features(task, loss, pairs=pair, connectors=[project] if global_weight else [])


def tokens_of(student: Seen, teacher: Seen, patch: int) -> tuple[Tensor, Tensor]:
    """The tokens of the last stage of both networks, [B, N, S] and [B, N, T], at the same places."""
    cut = all(shown.ndim == 4 for _, shown in (student.stages[-1], teacher.stages[-1]))
    mine, theirs = same_size(student.maps[-1], teacher.maps[-1])
    side = min(patch, *mine.shape[2:]) if cut else 1
    return patches(mine, side), patches(theirs, side)


def patches(maps: Tensor, side: int) -> Tensor:
    """Maps [B, C, H, W] as patches [B, N, C * side * side]; rows and columns that fill no patch are left out."""
    return nn.functional.unfold(maps, side, stride=side).transpose(1, 2)


def inner_loss(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean squared difference of softmax(F F' / sqrt(D)) between tokens [B, N, S] and [B, N, T] of each image."""
    mine, theirs = (torch.softmax(f @ f.transpose(1, 2) / f.shape[2] ** 0.5, dim=2) for f in (student, teacher))
    return nn.functional.mse_loss(mine, theirs)


def drawn(student: Tensor, teacher: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`count` tokens of each image [B, N, D] (all, if there are no more), one list of a batch: [B * count, D]."""
    images, places = student.shape[:2]
    if count < places:
        rows = torch.rand(images, places).argsort(1)[:, :count].to(student.device)
        student, teacher = (f.gather(1, rows[:, :, None].expand(-1, -1, f.shape[2])) for f in (student, teacher))
    return student.flatten(0, 1), teacher.flatten(0, 1)


def graph(f: Tensor, neighbours: int) -> Tensor:
    """Tokens [M, D] -> [M, M]: exp(-d^2 / (2 sigma)) at each row's nearest others, 0 elsewhere.

    sigma is the median of the squared distances between different tokens, a constant to the gradient.
    """
    square = squares(f)
    self = torch.eye(len(f), dtype=torch.bool, device=f.device)
    with torch.no_grad():
        near = square.masked_fill(self, math.inf).topk(min(neighbours, len(f) - 1), largest=False).indices
        kept = torch.zeros_like(self).scatter_(1, near, value=True)
        pairs = square.flatten()[1:].view(len(f) - 1, len(f) + 1)[:, :-1]  # all but the diagonal
        sigma = pairs.median() if len(f) > 1 else square.new_ones(())
        sigma = torch.where(sigma > 0, sigma, 1)
    return torch.where(kept, (-square / (2 * sigma)).exp(), 0)


def squares(f: Tensor) -> Tensor:
    """Squared distances [M, M] of tokens [M, D]: by a matrix product, whose rounding is nothing beside their median."""
    f = f - f.detach().mean(0)
    norms = f.square().sum(1)
    return (norms[:, None] + norms - 2 * f @ f.T).clamp(min=0)


def local_loss(student: Tensor, teacher: Tensor, neighbours: int) -> Tensor:
    """KL of the teacher's from the student's graph, each row through a softmax; a mean over tokens [M, S], [M, T]."""
    mine, theirs = (graph(f, neighbours).log_softmax(1) for f in (student, teacher))
    return nn.functional.kl_div(mine, theirs, reduction="batchmean", log_target=True)


def contrast(student: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """InfoNCE of unit vectors: each of the student's tokens [M, D] is told which of the teacher's is its partner."""
    scores = nn.functional.normalize(student) @ nn.functional.normalize(teacher).T / temperature
    return nn.functional.cross_entropy(scores, torch.arange(len(scores), device=scores.device))


def cosine(start: float, end: float, done: float) -> float:
    """From `start` to `end` on half a cosine, at the share `done` of the way."""
    return end + (start - end) * (1 + math.cos(math.pi * done)) / 2
