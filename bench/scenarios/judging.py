"""What every judge does: logits of a returned model, checked, and the metrics that follow from them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from bench.device import as_input
from bench.errors import BadResult
from bench.metrics.metric import Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    import numpy as np

    from bench.data.spec import Split

CLASSIFIER = (
    Metric("accuracy", "%", higher_is_better=True, examples="test"),
    Metric("nll", "", higher_is_better=False),
    Metric("ece", "", higher_is_better=False),
)
"""What `judge_classifier` gives."""
AGREEMENT = Metric("agreement", "%", higher_is_better=True)
TEACHER_ACCURACY = Metric("teacher_accuracy", "%", higher_is_better=True)
PARAMETERS = Metric("parameters", "count", higher_is_better=False)
FLOOR = (
    "The floor",
    (
        "of the gap is that of a model retrained with another seed from the other retrained ones: a row whose gap is "
        "not above it is as good as retrained as far as can be told. Such rows are ties for the first rank. Behind a "
        "stroke stands the floor of the number before it: what retrained models show, or of piggyback learning those "
        "that never saw the source. What counts is the difference; of an attack it is a merit in neither direction."
    ),
)
"""How to read the floors of scenarios that undo training."""


@torch.inference_mode()
def logits(model: Callable[[Tensor], Tensor], inputs: Tensor, num_classes: int, batch_size: int = 500) -> Tensor:
    """Logits [N, C] (float32, on the CPU) of inputs of any kind, as stored, a module being put into eval mode.

    Raises:
        BadResult: the model is not callable, returns another shape, or returns NaN or infinity.
    """
    if not callable(model):
        raise BadResult(f"a model or predictor was expected, got {type(model).__name__}")
    device = inputs.device
    if isinstance(model, nn.Module):
        model.eval()
        device = next((p.device for p in model.parameters()), device)
    parts = []
    for batch in inputs.split(batch_size):
        z = model(as_input(batch.to(device)))
        if not isinstance(z, Tensor) or z.shape != (len(batch), num_classes):
            got = tuple(z.shape) if isinstance(z, Tensor) else type(z).__name__
            raise BadResult(f"logits of shape {(len(batch), num_classes)} were expected, got {got}")
        parts.append(z.float().cpu())
    out = torch.cat(parts)
    if not torch.isfinite(out).all():
        raise BadResult(f"{int((~torch.isfinite(out)).any(1).sum())} of {len(out)} predictions are NaN or infinite")
    return out


def judge_classifier(z: Tensor, split: Split) -> tuple[dict[str, float], np.ndarray]:
    """accuracy, nll (nats) and ece (15 equal-width bins) of logits z [N, C], and correctness bool [N]."""
    from bench.metrics.calibration import expected_calibration_error

    labels = split.labels.cpu()
    p = z.double().softmax(1)
    right = correct(z, labels)
    confidence = p.max(1).values.numpy()
    metrics = {
        "accuracy": float(right.mean()),
        "nll": float(nn.functional.cross_entropy(z.double(), labels)),
        "ece": float(expected_calibration_error(confidence, right, bins=15)),
    }
    return metrics, right


def misfit(state: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str | None:
    """The first entry of a returned network's state whose name or shape is not the expected one, or None."""
    got, wanted = ({name: tuple(t.shape) for name, t in s.items()} for s in (state, expected))
    for name in [*wanted, *got]:
        if wanted.get(name) != got.get(name):
            return f"{name!r} has shape {got.get(name, 'none')}, expected {wanted.get(name, 'no such entry')}"
    return None


def size(model: nn.Module) -> int:
    """Parameters of a network."""
    return sum(p.numel() for p in model.parameters())


def correct(z: Tensor, labels: Tensor) -> np.ndarray:
    """bool [N]: on which examples logits [N, C] pick the label [N]."""
    return (z.argmax(1) == labels.cpu()).numpy()


def accuracy(z: Tensor, labels: Tensor | int) -> float:
    """Share of examples on which logits [N, C] pick the label: each one's own [N], or one class for all."""
    return float((z.argmax(1) == (labels.cpu() if isinstance(labels, Tensor) else labels)).double().mean())


def agreement(z: Tensor, other: Tensor) -> float:
    """Share of examples on which two sets of logits [N, C] pick the same class."""
    return float((z.argmax(1) == other.argmax(1)).double().mean())
