"""What may be returned in `merge`, and its logits task by task."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.data.spec import Split
from bench.errors import BadResult
from bench.models.layers import HEAD
from bench.scenarios.judging import accuracy, logits, misfit

Predictor = Callable[[Tensor], Tensor]
"""Pixels [B, C, H, W] in [0, 1] -> logits [B, m] of one task."""


def predictors(result: object, init: nn.Module, heads: Sequence[nn.Linear]) -> list[Predictor]:
    """One predictor a task: the returned backbone under each task's fixed head, or the returned predictors themselves.

    Raises:
        BadResult: neither a backbone with the names and shapes of `init`, nor a list of as many predictors as heads.
    """
    if isinstance(result, nn.Module):
        _check_backbone(result, init)
        device = next(result.parameters()).device
        return [_UnderHead(result, copy.deepcopy(head).to(device)) for head in heads]
    if isinstance(result, list | tuple) and len(result) == len(heads) and all(callable(p) for p in result):
        return list(result)
    got = f"{type(result).__name__} of {len(result)}" if isinstance(result, list | tuple) else type(result).__name__
    raise BadResult(f"one backbone (a module) or a list of {len(heads)} predictors was expected, got {got}")


def all_logits(predictors: Sequence[Predictor], tests: Sequence[Split], heads: Sequence[nn.Linear]) -> Tensor:
    """Logits [N, max m] of all tasks' examples, one task after the other.

    A task of fewer classes is padded by impossible ones (minus infinity).

    Raises:
        BadResult: see `bench.scenarios.judging.logits`.
    """
    widest = max(head.out_features for head in heads)
    parts = []
    for predictor, test, head in zip(predictors, tests, heads, strict=True):
        z = logits(predictor, test.inputs, head.out_features)
        parts.append(nn.functional.pad(z, (0, widest - head.out_features), value=-torch.inf))
    return torch.cat(parts)


def accuracies(z: Tensor, labels: Tensor, sizes: Sequence[int]) -> list[float]:
    """Accuracy of each task; `sizes` counts its examples."""
    parts = zip(z.split(list(sizes)), labels.split(list(sizes)), strict=True)
    return [accuracy(own, its_labels) for own, its_labels in parts]


class _UnderHead(nn.Module):
    """A returned backbone under a task's fixed head."""

    def __init__(self, backbone: nn.Module, head: nn.Linear) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head

    def forward(self, x: Tensor) -> Tensor:
        z = self.backbone.features(x)  # type: ignore[operator]  # _check_backbone saw that it is callable
        expected = (len(x), self.head.in_features)
        if not isinstance(z, Tensor) or z.shape != expected:
            got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise BadResult(f"features of shape {expected} were expected, got {got}")
        return self.head(z)


def _check_backbone(result: nn.Module, init: nn.Module) -> None:
    if not callable(getattr(result, "features", None)):
        raise BadResult(f"a backbone with `features(x)` was expected; {type(result).__name__} has none")
    if fault := misfit(_backbone(result), _backbone(init)):
        raise BadResult(f"the backbone is not of the initialisation's architecture: {fault}")


def _backbone(model: nn.Module) -> dict[str, Tensor]:
    return {name: tensor for name, tensor in model.state_dict().items() if not name.startswith(HEAD)}
