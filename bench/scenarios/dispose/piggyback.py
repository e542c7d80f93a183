"""Piggyback learning: how much of a task can be had back from a backbone, for a few labelled images of it?

The measure of disposable transfer learning (Koh et al., ICCV 2023, arXiv:2308.09971). A fresh head for the task is put
on the backbone, and either all weights are trained on the few images, or the backbone is frozen and a linear classifier
is fitted to its features. The judge alone does this: heads, images and order are drawn by the scenario's seed, so that
every method of a seed meets the same attacker, who knows nothing of the method.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from bench.data.spec import Split
from bench.device import Device, as_input
from bench.errors import BadResult
from bench.metrics.linear_probe import ridge_probe
from bench.metrics.metric import Metric
from bench.models.layers import HEAD, Classifier
from bench.models.train import fit
from bench.scenarios.judging import FLOOR, accuracy, logits, misfit
from bench.schema.recipe import Recipe

PIGGYBACK = (
    Metric("pl_full", "%", higher_is_better=False, title="piggyback accuracy", floor="floor_pl_full", explain=FLOOR),
    Metric(
        "pl_linear",
        "%",
        higher_is_better=False,
        title="piggyback accuracy of a linear head",
        floor="floor_pl_linear",
        in_table=True,
    ),
)
"""What `piggyback_accuracy` gives, beside the same of networks that never saw the source."""


@dataclass(frozen=True)
class Piggyback:
    """One draw of the attacker: a network with a fresh head, a few labelled images, and the order of training."""

    fresh: Classifier
    """Untrained; only its head is used."""
    shots: Split
    """What it is trained on, labels as the head counts them."""
    generator: Callable[[], torch.Generator]
    """A new generator in the same state at each call: no backbone finds it advanced by another."""
    recipe: Recipe
    device: Device

    def full(self, backbone: Classifier, test: Split) -> float:
        """Accuracy on `test` after all weights were trained on the shots. The backbone is left as it was.

        Raises:
            BadResult: predictions are NaN or infinite.
            BenchError: training ends in NaN or infinity.
        """
        model = self.on(backbone)
        fit(
            model,
            self.shots.inputs,
            self.shots.labels,
            self.recipe,
            generator=self.generator(),
            device=self.device,
        )
        z = logits(model, test.inputs, model.head.out_features)
        return accuracy(z, test.labels)

    def linear(self, backbone: Classifier, test: Split) -> float:
        """Accuracy on `test` of a ridge classifier of the frozen backbone's features, fitted to the shots.

        Raises:
            BadResult: features are NaN or infinite.
        """
        model = self.on(backbone)
        train, other = (_features(model, split.inputs) for split in (self.shots, test))
        if not (np.isfinite(train).all() and np.isfinite(other).all()):
            raise BadResult("features of the returned backbone are NaN or infinite")
        predicted = ridge_probe(train, self.shots.labels.cpu().numpy(), other)
        return float((predicted == test.labels.cpu().numpy()).mean())

    def on(self, backbone: Classifier) -> Classifier:
        """The backbone's weights and statistics under the fresh head, in eval mode."""
        model = copy.deepcopy(self.fresh)
        heads = {name: tensor for name, tensor in model.state_dict().items() if name.startswith(HEAD)}
        model.load_state_dict(backbone.state_dict() | heads)
        return model.eval()


def piggyback_accuracy(draws: Sequence[Piggyback], backbone: Classifier, test: Split) -> dict[str, float]:
    """`pl_full` and `pl_linear`: the means over the attacker's draws."""
    return {
        "pl_full": sum(draw.full(backbone, test) for draw in draws) / len(draws),
        "pl_linear": sum(draw.linear(backbone, test) for draw in draws) / len(draws),
    }


def rebuilt(result: object, given: Classifier) -> Classifier:
    """A network of `given`'s architecture with the weights and statistics of a result, in eval mode.

    The state alone is taken: hooks, wrappers or another forward pass of the returned module do not count.

    Raises:
        BadResult: no module, or one whose `state_dict()` has other names or shapes than that of `given`.
    """
    if not isinstance(result, nn.Module):
        raise BadResult(f"a model of the given one's architecture was expected, got {type(result).__name__}")
    model, state = copy.deepcopy(given), result.state_dict()
    if fault := misfit(state, model.state_dict()):
        raise BadResult(f"the result is not of the given model's architecture: {fault}")
    model.load_state_dict(state)
    return model.eval()


@torch.inference_mode()
def _features(model: Classifier, images: Tensor) -> np.ndarray:
    """[N, d] in double precision."""
    device = model.head.weight.device
    parts = [model.features(as_input(batch.to(device))).double().cpu() for batch in images.split(500)]
    return torch.cat(parts).numpy()
