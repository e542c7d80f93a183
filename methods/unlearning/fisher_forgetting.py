"""Fisher forgetting: blur every weight, the more the less the retained rows depend on it.

Aditya Golatkar, Alessandro Achille and Stefano Soatto, "Eternal Sunshine of the Spotless Net: Selective Forgetting in
Deep Networks", CVPR 2020, arXiv:1911.04933.

The paper's noise is (lambda sigma^2)^(1/4) F^(-1/4) n, a variance that falls with the root of F. Followed is the
authors' code (AdityaGolatkar/SelectiveForgetting, which SCRUB, Unlearn-Sparse and SSD took over): variance alpha / F
with F the diagonal Fisher information of single retained rows, 1 / F capped at 1000 and in the last layer at 100; one
variance for the weights of an output, the mean over their inputs; 10 times as much in the last layer and in vectors
(biases, norms). If a class is to be forgotten, its row of the last layer is drawn around 0 with variance 0.001: all
selectivity of a class request comes from there, and `mask-class` is what to compare with. On random requests nothing
tells forgotten rows from retained ones but that F did not see them.

Done otherwise: F is the mean over `rows` random retained rows, not over all; the last layer is `head`, where the code
takes any tensor that begins with the number of classes.

`alpha` is the value of SCRUB's and SSD's code. On the validation split of the digits (1e-9 to 1e-5) it is the largest
that costs no accuracy.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import method
from bench.scenarios.unlearn.task import UnlearnTask
from bench.task.statistics import diagonal_fisher
from bench.types import Count, Weight
from methods.unlearning.head import linear_head

CLASS_VARIANCE = 1e-3
"""Of the weights that read out a forgotten class."""


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "retain", "forget_class"},
    paper="arXiv:1911.04933",
    year=2020,
    in_place=True,
)
def fisher_forgetting(task: UnlearnTask, *, alpha: Weight = 1e-6, rows: Count = 400) -> nn.Module:
    """Add Gaussian noise of variance alpha / F to the weights; no training, no labels, no forgotten row.

    Args:
        alpha: the amount of noise; 0 leaves every weight as it is, but for the row of a forgotten class.
        rows: retained rows that F is computed on.
    """
    head = linear_head(task.model)
    picked = torch.randperm(len(task.retain_inputs), generator=task.generator)[:rows]
    fisher = diagonal_fisher(task.model, task.retain_inputs[picked], task.compute)
    task.progress(1, 2)
    last = [id(p) for p in head.parameters()]
    with torch.no_grad():
        for name, p in task.model.named_parameters():
            mean, variance = p.clone(), noise_variance(fisher[name], alpha, last=id(p) in last)
            if id(p) in last and task.forget_class is not None:
                mean[task.forget_class] = 0
                variance[task.forget_class] = CLASS_VARIANCE
            noise = torch.randn(p.shape, generator=task.generator).to(p)
            p.copy_(mean + variance.sqrt() * noise)
    task.progress(2, 2)
    return task.model


def noise_variance(fisher: Tensor, alpha: float, *, last: bool) -> Tensor:
    """Variance of the noise on one parameter, of its shape.

    Args:
        fisher: diagonal Fisher information of the parameter, non-negative; outputs first, then inputs.
        alpha: the amount.
        last: whether it belongs to the last layer.
    """
    variance = alpha * (1 / (fisher + 1e-8)).clamp(max=100 if last else 1000)
    if fisher.ndim > 1:
        variance = variance.mean(1, keepdim=True).expand_as(fisher).clone()
    return 10 * variance if last or fisher.ndim == 1 else variance
