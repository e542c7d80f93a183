"""AdaMerging: Adaptive Model Merging for Multi-Task Learning. Yang, Wang, Shen, Liu, Guo, Wang, Tao.
ICLR 2024, arXiv:2310.02575.

Task arithmetic with a coefficient for each task, or for each task and layer (a layer is a parameter tensor), learnt
without labels: the mean entropy of the merged network's predictions, each task's images under that task's own head, is
minimised over the coefficients and over nothing else. They start at 0.3 and count within [0, 1]. AdaMerging++ does so
with task vectors that TIES has trimmed (to 0.2) and rid of the signs that were not elected.

The paper minimises the entropy on the unlabelled test images that it is judged on: `adamerging_transductive`, with the
paper's budget of 500 steps at 1e-3, of 16 images a task (two such batches in the authors' code). `adamerging` sees no
test image: it is given unlabelled training images of the tasks (inductive), fewer steps and a higher rate.

Differs from the paper: running statistics of normalisation layers are the mean of the parents', and the network stays
in eval mode. Where the authors' TIES gives a tie of signs to the majority sign of the whole vector, all its entries go.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call

from bench import method
from bench.device import as_input
from bench.scenarios.merge.scenario import MergeTask
from bench.types import Count, Rate, Share, Steps
from methods.merging.task_vectors import TaskVector, add, task_vectors
from methods.merging.ties import trim

START = 0.3
"""Every coefficient before the first step: that of task arithmetic."""


@method(family="merging", scenario="merge", access={"weights", "unlabeled"}, paper="arXiv:2310.02575", year=2024)
def adamerging(
    task: MergeTask,
    *,
    granularity: Literal["task", "layer"] = "layer",
    plus_plus: bool = False,
    keep: Share = 0.2,
    steps: Steps = 200,
    lr: Rate = 0.01,
    batch_size: Count = 32,
) -> nn.Module:
    """Task arithmetic with coefficients that minimise the entropy of the predictions on unlabelled images.

    Args:
        granularity: one coefficient a task, or one a task and parameter tensor.
        plus_plus: AdaMerging++, on task vectors that TIES has trimmed and rid of conflicting signs.
        keep: the share of entries that it trims each of them to.
        steps: of Adam.
        lr: its learning rate.
        batch_size: unlabelled images a task and step.
    """
    return learn(task, task.unlabeled, granularity, keep if plus_plus else None, steps, lr, batch_size)


@method(family="merging", scenario="merge", access={"weights", "unlabeled-test"}, paper="arXiv:2310.02575", year=2024)
def adamerging_transductive(
    task: MergeTask,
    *,
    granularity: Literal["task", "layer"] = "layer",
    plus_plus: bool = False,
    keep: Share = 0.2,
    steps: Steps = 500,
    lr: Rate = 0.001,
    batch_size: Count = 16,
) -> nn.Module:
    """AdaMerging as published, on the test images that it is judged on; the arguments are those of `adamerging`."""
    return learn(task, task.unlabeled_test, granularity, keep if plus_plus else None, steps, lr, batch_size)


def learn(
    task: MergeTask,
    images: Sequence[Tensor],
    granularity: Literal["task", "layer"],
    keep: float | None,
    steps: int,
    lr: float,
    batch_size: int,
) -> nn.Module:
    """The merged network with coefficients of least entropy on these images, uint8 [N, C, H, W] of each task.

    `keep` is the share that TIES trims the task vectors to before; None leaves them as they are.
    """
    vectors = task_vectors(task.init, task.parents)
    if keep is not None:
        vectors = without_conflicts(vectors, keep)
    stacks = {name: torch.stack([v[name] for v in vectors]) for name in vectors[0]}
    some = next(iter(stacks.values()))
    coefficients = some.new_full((len(vectors), len(stacks) if granularity == "layer" else 1), START)
    coefficients.requires_grad_()
    minimise_entropy(task, images, stacks, coefficients, steps, lr, batch_size)
    return add(task.init, combine(stacks, coefficients.detach()), task.parents)


def combine(stacks: dict[str, Tensor], coefficients: Tensor) -> TaskVector:
    """Sum over tasks of lambda * tau, weight by weight.

    Args:
        stacks: name -> the tasks' changes of that weight [T, ...].
        coefficients: [T, number of weights], or [T, 1] for all weights alike; they count within [0, 1].
    """
    columns = coefficients.clamp(0, 1).expand(-1, len(stacks)).unbind(1)
    return {name: torch.tensordot(c, s, dims=1) for c, (name, s) in zip(columns, stacks.items(), strict=True)}


def without_conflicts(vectors: Sequence[TaskVector], keep: float) -> list[TaskVector]:
    """The task vectors with only those of their largest entries that have the elected sign (of the sum over tasks)."""
    shapes = {name: delta.shape for name, delta in vectors[0].items()}
    trimmed = torch.stack([trim(torch.cat([v[name].flatten() for name in shapes]), keep) for v in vectors])
    agreeing = torch.where(trimmed * trimmed.sum(0).sign() > 0, trimmed, 0.0)
    sizes = [shape.numel() for shape in shapes.values()]
    return [
        {name: part.view(shape) for part, (name, shape) in zip(row.split(sizes), shapes.items(), strict=True)}
        for row in agreeing
    ]


def minimise_entropy(
    task: MergeTask,
    images: Sequence[Tensor],
    stacks: dict[str, Tensor],
    coefficients: Tensor,
    steps: int,
    lr: float,
    batch_size: int,
) -> None:
    """Train the coefficients in place, by Adam on new random images of every task at each step."""
    logits = merged_logits(task, stacks)
    optimizer = torch.optim.Adam([coefficients], lr=lr)
    for step in range(steps):
        orders = [torch.randperm(len(x), generator=task.generator)[:batch_size] for x in images]
        batches = [x[order.to(x.device)] for x, order in zip(images, orders, strict=True)]
        loss = torch.stack([entropy(z) for z in logits(coefficients, batches)]).sum()
        (coefficients.grad,) = torch.autograd.grad(loss, [coefficients])
        optimizer.step()
        task.progress(step + 1, steps)


def merged_logits(task: MergeTask, stacks: dict[str, Tensor]) -> Callable[[Tensor, Sequence[Tensor]], list[Tensor]]:
    """f(coefficients, uint8 images [B, C, H, W] of every task) -> logits [B, m] of each under its own head."""
    backbone = add(task.init, {}, task.parents).requires_grad_(False)
    task.compute.place(backbone).eval()
    backbone.head = nn.Identity()  # so that calling it gives features
    start = dict(backbone.named_parameters())

    def logits(coefficients: Tensor, images: Sequence[Tensor]) -> list[Tensor]:
        weights = {name: start[name] + delta for name, delta in combine(stacks, coefficients).items()}
        with task.compute.autocast():
            z = functional_call(backbone, weights, (as_input(torch.cat(list(images)).to(task.device)),))
            return [head(part) for head, part in zip(task.heads, z.split([len(x) for x in images]), strict=True)]

    return logits


def entropy(logits: Tensor) -> Tensor:
    """Mean entropy of the softmax of logits [B, m], in nats; a scalar."""
    log_p = logits.float().log_softmax(1)
    return -(log_p.exp() * log_p).sum(1).mean()
