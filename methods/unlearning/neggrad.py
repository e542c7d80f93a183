"""NegGrad, also called gradient ascent: climb the loss of the rows to be forgotten, and of nothing else.

Aditya Golatkar, Alessandro Achille and Stefano Soatto, "Eternal Sunshine of the Spotless Net: Selective Forgetting in
Deep Networks", CVPR 2020, arXiv:1911.04933, where it is a baseline; Anvith Thudi, Gabriel Deza, Varun Chandrasekaran
and Nicolas Papernot, "Unrolling SGD: Understanding Factors Influencing Machine Unlearning", EuroS&P 2022,
arXiv:2109.13398. Momentum and weight decay are the training recipe's, as in Unlearn-Sparse (Jia et al., NeurIPS 2023,
arXiv:2304.04934).

Differs from the papers: the cross-entropy has no bound, so it is cut off, row by row, at `clip` nats; BatchNorm
normalises by its running statistics and leaves them alone (a batch of forgotten rows is no sample of the data, of one
class least of all, and the retained rows would pay for its statistics); the rate falls linearly to 0. Unlearn-Sparse
takes 5 epochs at 1e-4, for which a small network's few steps are too short.

What to expect: of rows that the original fits perfectly the gradient is next to nothing, so that the method does
nothing up to some rate and destroys the network at a few times that rate.
"""

from __future__ import annotations

from torch import Tensor, nn

from bench import method
from bench.models.train import Loss, fit
from bench.scenarios.unlearn.task import UnlearnTask
from bench.types import Count, Rate
from methods.unlearning.finetune import tuning_recipe


@method(
    family="unlearning",
    scenario="unlearn",
    access={"weights", "forget_labels"},
    paper="arXiv:1911.04933",
    year=2020,
    in_place=True,
)
def neggrad(task: UnlearnTask, *, epochs: Count = 2, lr: Rate = 5e-3, clip: Rate = 5.0) -> nn.Module:
    """Maximise cross-entropy on the forgotten rows; the retained ones are never seen.

    Args:
        epochs: passes over the forgotten rows.
        lr: the learning rate at the start.
        clip: cross-entropy in nats at which a row is forgotten enough.
    """
    if not len(task.forget_inputs):
        return task.model
    fit(
        task.model,
        task.forget_inputs,
        task.forget_labels,
        tuning_recipe(task.recipe, epochs, lr),
        generator=task.generator,
        device=task.compute,
        loss=climb(clip),
        progress=task.progress,
    )
    return task.model


def climb(clip: float) -> Loss:
    """`ascent` by a model in eval mode."""

    def loss(model: nn.Module, x: Tensor, y: Tensor, index: Tensor) -> Tensor:  # noqa: ARG001
        return ascent(model.eval()(x), y, clip)

    return loss


def ascent(z: Tensor, y: Tensor, clip: float) -> Tensor:
    """Minus the mean of cross-entropy, which counts up to `clip` nats a row, of logits z [B, C] with labels y [B]."""
    return -nn.functional.cross_entropy(z, y, reduction="none").clamp(max=clip).mean()
