"""Influence unlearning: one Newton step from the optimum on all rows to that on the retained ones.

The step is that of influence functions (Pang Wei Koh and Percy Liang, ICML 2017, arXiv:1703.04730; Zachary Izzo et
al., AISTATS 2021, arXiv:2002.10077), with the inverse of WoodFisher (Sidak Pal Singh and Dan Alistarh, NeurIPS 2020,
arXiv:2004.14340), as combined by Jinghan Jia et al., "Model Sparsity Can Simplify Machine Unlearning", NeurIPS 2023,
arXiv:2304.04934. With g the gradients of single rows, n rows in all, f of them forgotten and r retained:

    weights + alpha F^-1 v,   v = (sum of forgotten g - f/r sum of retained g) / n,   F = damping I + mean g g^T

with F over `rows` retained rows. At an optimum v is minus the retained rows' gradient, and with their Hessian in place
of F and alpha = 1 the step is exact for a quadratic loss.

Done otherwise: F^-1 v is exact. WoodFisher adds row after row to the inverse; what it ends with is written down at
once by Woodbury's identity, from `rows` gradients in memory (4 bytes x rows x weights). The released code
(OPTML-Group/Unlearn-Sparse) keeps one vector in place of all of them, which is right only where every gradient points
the same way. Damping is relative to the largest eigenvalue of the mean of g g^T, which is 0.001 for one network that
fits its rows and 10 for the next; the release has an absolute one, 1, for it starts from v. Gradients are those of the
training loss, label smoothing included, on images that are not augmented. The release takes 1000 rows and tunes alpha;
`alpha` and `damping` were chosen on the validation split of the digits (0.1 to 30, and 0.01, 0.1, 1): with less
damping all accuracy is lost, and little more of a step loses it as well.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Skip, method
from bench.device import as_input
from bench.scenarios.unlearn.task import UnlearnTask
from bench.task.gradients import row_gradients
from bench.types import Count, Rate, Weight


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain_labels", "forget_labels"},
    paper="arXiv:2304.04934",
    year=2023,
    in_place=True,
)
def influence(task: UnlearnTask, *, alpha: Weight = 0.3, damping: Rate = 1.0, rows: Count = 300) -> nn.Module:
    """Take one step along F^-1 v; no training.

    Args:
        alpha: length of the step; 0 leaves every weight as it is.
        damping: added to the eigenvalues of F, in units of the largest: how far to step where retained rows say little.
        rows: retained rows that F is computed on.

    Raises:
        Skip: F is 0.
    """
    model, smoothing = task.model.eval(), task.recipe.label_smoothing
    if not len(task.forget_inputs):
        return model
    forgotten = summed_gradient(model, task.forget_inputs, task.forget_labels, smoothing)
    retained = summed_gradient(model, task.retain_inputs, task.retain_labels, smoothing)
    v = removal_gradient(forgotten, len(task.forget_inputs), retained, len(task.retain_inputs))
    picked = torch.randperm(len(task.retain_inputs), generator=task.generator)[:rows]
    g = gradient_rows(model, task.retain_inputs[picked], task.retain_labels[picked], smoothing)
    scale = largest_eigenvalue(g)
    if scale <= 0:
        raise Skip(f"F is 0: the model fits all of {len(g)} retained rows with a gradient of 0; take more `rows`")
    task.progress(1, 2)
    move(model, alpha * inverse_fisher_product(g, v, damping * scale))
    task.progress(2, 2)
    return model


def removal_gradient(forgotten: Tensor, f: int, retained: Tensor, r: int) -> Tensor:
    """v [P] from the sums [P] of the gradients of f forgotten and r retained rows."""
    return (forgotten - f / r * retained) / (f + r)


def inverse_fisher_product(g: Tensor, v: Tensor, damping: float) -> Tensor:
    """(damping I + g^T g / N)^-1 v [P], exactly, by a system of N equations.

    Args:
        g: gradients of N rows, [N, P].
        v: [P].
        damping: positive.
    """
    n = len(g)
    system = g @ g.T + damping * n * torch.eye(n, dtype=g.dtype, device=g.device)
    return (v - g.T @ torch.linalg.solve(system, g @ v)) / damping


def largest_eigenvalue(g: Tensor) -> float:
    """Of g^T g / N, g [N, P]."""
    return float(torch.linalg.eigvalsh(g @ g.T)[-1]) / len(g)


def summed_gradient(model: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """Sum over rows of the gradient of the loss, [P] in the order of `model.parameters()`.

    Args:
        model: in eval mode.
        images: uint8 [N, C, H, W].
        labels: int64 [N].
        smoothing: of the labels.
    """
    parameters = list(model.parameters())
    device = parameters[0].device
    total = torch.zeros(sum(p.numel() for p in parameters), device=device)
    for x, y in zip(images.split(500), labels.split(500), strict=True):
        z = model(as_input(x.to(device)))
        loss = nn.functional.cross_entropy(z, y.to(device), label_smoothing=smoothing, reduction="sum")
        total += torch.cat([g.flatten() for g in torch.autograd.grad(loss, parameters)])
    return total


def gradient_rows(model: nn.Module, images: Tensor, labels: Tensor, smoothing: float) -> Tensor:
    """The gradient of each row's loss by itself, [N, P]; arguments as in `summed_gradient`."""
    device = next(model.parameters()).device
    chunks = row_gradients(model, images, labels, device, smoothing=smoothing)
    return torch.cat([torch.cat([g.flatten(1) for g in chunk.values()], 1) for chunk in chunks])


@torch.no_grad()
def move(model: nn.Module, step: Tensor) -> None:
    """Add a vector [P], in the order of `model.parameters()`, to the weights."""
    sizes = [p.numel() for p in model.parameters()]
    for p, part in zip(model.parameters(), step.split(sizes), strict=True):
        p.add_(part.view(p.shape).to(p.dtype))
