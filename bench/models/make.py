"""From the spec of a standard model to its weights: initialise, select rows, train. Nothing is kept here.

The zoo's key covers the source of this file and of all it imports; the zoo's own source is left out, so that
keeping files differently does not train everything again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from bench.data.spec import Dataset, Split
from bench.device import Device, as_input
from bench.errors import ZooError
from bench.models import build
from bench.models.layers import HEAD, Classifier
from bench.models.spec import ModelSpec
from bench.models.train import fit

CLASS_MEANS_FLOOR = 0.1
"""Least variance that `head = "class-means"` assumes, in units of a mean's mean squared distance from the centre."""


def initialise(spec: ModelSpec, dataset: Dataset, *, seed: int, start: Mapping[str, Tensor] | None) -> nn.Module:
    """The network before training, on the CPU: drawn from `seed`, then overwritten by `start`, where there is one.

    The entries of the head stay as drawn where `start` has another number of classes.

    Raises:
        ZooError: `start` is the state of another architecture.
    """
    model = build(spec.arch, spec.options, spec.num_classes, dataset, seed=seed)
    if start is None:
        return model
    own = model.state_dict()
    kept = {name for name in own if name.startswith(HEAD) and name in start and own[name].shape != start[name].shape}
    state = {name: own[name] if name in kept else tensor for name, tensor in start.items()}
    load_state(model, state, f"{spec.describe()} starts from {spec.init.describe() if spec.init else 'given weights'}")
    return model


def load_state(model: nn.Module, state: Mapping[str, Tensor], what: str) -> None:
    """Put a whole state into a model.

    Raises:
        ZooError: keys are missing, unexpected, or of another shape; all of them are named.
    """
    own = model.state_dict()
    faults = [f"{name} is missing" for name in own if name not in state]
    faults += [f"{name} is unexpected" for name in state if name not in own]
    faults += [
        f"{name} has shape {tuple(state[name].shape)}, the model needs {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    if faults:
        raise ZooError(f"{what}: the weights do not fit {type(model).__name__}: {'; '.join(faults)}")
    model.load_state_dict(dict(state))


def training_rows(spec: ModelSpec, dataset: Dataset) -> Split:
    """The inputs and (relabelled) labels that a model is trained on.

    Raises:
        ZooError: a label lies outside of the model's classes.
        DataError: the part of the rows does not exist, or is empty.
    """
    from bench.data.rows import select

    rows = select(spec.rows, dataset.train.labels)
    split = Split(dataset.train.inputs[rows], relabel(spec, dataset.train.labels[rows]))
    low, high = int(split.labels.min()), int(split.labels.max())
    if low < 0 or high >= spec.num_classes:
        raise ZooError(f"{spec.describe()}: labels from {low} to {high} do not fit {spec.num_classes} classes")
    return split


def relabel(spec: ModelSpec, labels: Tensor) -> Tensor:
    """Labels [N] as the model's head counts them.

    Raises:
        ZooError: a label that `spec.relabel` does not reach.
    """
    if not spec.relabel:
        return labels
    if len(labels) and int(labels.max()) >= len(spec.relabel):
        raise ZooError(
            f"{spec.describe()}: relabel has {len(spec.relabel)} entries, there is a label {int(labels.max())}"
        )
    return torch.tensor(spec.relabel, dtype=torch.int64)[labels]


def train(
    model: nn.Module,
    spec: ModelSpec,
    split: Split,
    device: Device,
    *,
    seed: int,
    progress: Callable[[int, int], None] | None = None,
) -> None:
    """Train an initialised model in place by its spec; torch's global generators are left as they were."""
    cuda = [device.torch] if device.torch.type == "cuda" else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)  # dropout and the like of a user's architecture
        device.place(model)
        frozen: list[nn.Parameter] = []
        if spec.head == "class-means":
            if not isinstance(model, Classifier):
                raise ZooError(f"{spec.describe()}: head 'class-means' needs a standard model, not your own")
            set_class_means_head(model, split)
            frozen = list(model.head.parameters())
        for parameter in frozen:
            parameter.requires_grad_(False)
        generator = torch.Generator().manual_seed(seed)
        fit(model, split.inputs, split.labels, spec.recipe, generator=generator, device=device, progress=progress)
        for parameter in frozen:
            parameter.requires_grad_(True)


@torch.no_grad()
def set_class_means_head(model: Classifier, split: Split) -> None:
    """Make the head the classifier of Gaussian classes of one variance, fitted to the features as they are now.

    With m_c the mean feature of class c, m the mean of the m_c and s the variance within classes along m_c - m, the
    weight of class c is w_c = (m_c - m) / s and its bias -w_c . (m_c + m) / 2: the nearest class mean wins, with the
    confidence that the spread around the means warrants. (A norm fixed in advance, as for CLIP's normalised features,
    makes logits of unnormalised features so large that tuning under the head starts by destroying the features.)
    A head that is fixed before tuning is what merging methods know from CLIP, whose text embeddings serve as the
    classifier (Ilharco et al. 2023, arXiv:2212.04089): only backbones are merged. Classes without rows get weight 0.
    """
    model.eval()
    head = model.head
    z = torch.cat([model.features(as_input(inputs.to(head.weight.device))) for inputs in split.inputs.split(500)])
    labels = split.labels.to(z.device)
    counts = torch.bincount(labels, minlength=head.out_features)[:, None].to(z)
    seen = counts > 0
    means = torch.zeros_like(head.weight).index_add_(0, labels, z) / counts.clamp(min=1)
    centre = means.sum(0) / seen.sum()
    offsets = (means - centre) * seen
    within = ((z - means[labels]) * nn.functional.normalize(offsets, dim=1)[labels]).sum(1).square().mean()
    floor = CLASS_MEANS_FLOOR * offsets.square().sum() / seen.sum()
    weight = offsets / torch.maximum(within, floor).clamp(min=torch.finfo(z.dtype).tiny)
    head.weight.copy_(weight)
    head.bias.copy_(-(weight * (means + centre)).sum(1) / 2)
