"""Tasks that are groups of a data set's classes: their examples, with labels as a head over the group counts them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.data.spec import Split
from bench.errors import SuiteError
from bench.models.layers import Classifier


def places(classes: Sequence[int], num_classes: int) -> tuple[int, ...]:
    """Class -> its place among `classes`, or -1."""
    return tuple(classes.index(c) if c in classes else -1 for c in range(num_classes))


def of_classes(split: Split, classes: Sequence[int], rows: Tensor | None = None) -> Split:
    """The examples of these classes (or the given rows, all of these classes), labelled by their place among them."""
    place = torch.tensor(places(classes, int(split.labels.max()) + 1))
    labels = place[split.labels.cpu()]
    rows = (labels >= 0).nonzero().flatten() if rows is None else rows
    return Split(split.inputs[rows], labels[rows].to(split.labels.device))


def standard(model: nn.Module, name: str) -> Classifier:
    """The same model. Raises SuiteError where it is a user's own, without `features` and `head`."""
    if not isinstance(model, Classifier):
        raise SuiteError(
            f"model {name!r} is a {type(model).__name__}; a standard model is needed, with features and head"
        )
    return model
