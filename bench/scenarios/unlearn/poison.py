"""Poisoned rows that are to be unlearned: some images with a trigger, labelled as a target class.

A share of every class but the target's is poisoned (triggers as in `bench.scenarios.backdoor`; its `poison` draws from
all rows alike, while here the drawn rows must be a part that a suite's plan can name, so that judges are trained on the
others).
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, replace

from bench.data.rows import select
from bench.data.spec import Dataset, Rows, Split
from bench.device import kind_of
from bench.errors import DataError
from bench.models.spec import as_data
from bench.scenarios import backdoor
from bench.scenarios.backdoor import Trigger

LEAST_SIDE = 4
"""Pixels; smaller images are hardly more than the trigger."""


@dataclass(frozen=True)
class Poison:
    """Which rows are poisoned, by the labels of the clean data set, and how."""

    known: Rows
    """All rows that the original is trained on."""
    rows: Rows
    """Those of them that are poisoned."""
    trigger: Trigger
    target: int

    def of(self, train: Split) -> Split:
        """A copy of the clean training split, these rows stamped and relabelled in place.

        Raises:
            DataError: the inputs are no images, or have no room for a trigger, or there is no row to poison.
        """
        if (held := kind_of(train.inputs)) != "images":
            raise DataError(f"request 'poison' stamps a trigger of pixels on images; these data are {held}")
        if min(train.inputs.shape[-2:]) < LEAST_SIDE:
            raise DataError(
                f"request 'poison' stamps images of {LEAST_SIDE} pixels a side or more; these are of "
                f"{tuple(train.inputs.shape[1:])}"
            )
        rows = select(self.rows, train.labels)
        images, labels = train.inputs.clone(), train.labels.clone()
        images[rows] = backdoor.stamp(images[rows], self.trigger)
        labels[rows] = self.target
        return Split(images, labels)

    def dataset(self, dataset: Dataset) -> Dataset:
        """What the original is trained on: the known rows, some of them poisoned, under a fingerprint of their own."""
        poisoned, known = self.of(dataset.train), select(self.known, dataset.train.labels)
        train = Split(poisoned.inputs[known], poisoned.labels[known])
        return replace(dataset, train=train, fingerprint=self.fingerprint(dataset.fingerprint))

    def fingerprint(self, clean: str) -> str:
        """Of the poisoned data (16 hex digits), out of all that they are made from, without making them."""
        told = [clean, as_data(self.known), as_data(self.rows), self.trigger, self.target]
        return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]

    def stamped(self, split: Split) -> Split:
        """The images that are not of the target class, stamped, with their own labels."""
        others = split.labels != self.target
        return Split(backdoor.stamp(split.inputs[others], self.trigger), split.labels[others])
