"""What a reader returns: the arrays of a data set as stored, checked, and their fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import DataError
from bench.types import STORED

if TYPE_CHECKING:
    from bench.data.source import Source

ARRAYS = ("train_images", "train_labels", "test_images", "test_labels")
"""The names under which the arrays enter the fingerprint, whatever their kind: so they were called when the first
fingerprints were taken, and those stand in every record."""


@dataclass(frozen=True)
class Parts:
    """The official parts, in the official order: inputs as their kind stores them (`bench.types.STORED`), images
    uint8 [N, C, H, W], texts int64 [N, L], a table float32 [N, D] as it was measured; labels int64 [N].
    """

    train_inputs: np.ndarray
    train_labels: np.ndarray
    test_inputs: np.ndarray
    test_labels: np.ndarray
    words: tuple[str, ...] = ()
    """Of texts: the word of each number from 2 on. Not in the fingerprint: it follows from the texts."""

    def of(self, split: str) -> tuple[np.ndarray, np.ndarray]:
        """Inputs and labels of the official part that a split is drawn from: `test`, else the training part."""
        if split == "test":
            return self.test_inputs, self.test_labels
        return self.train_inputs, self.train_labels

    def arrays(self) -> dict[str, np.ndarray]:
        """The four arrays by name, in the order of the fingerprint."""
        return dict(
            zip(ARRAYS, (self.train_inputs, self.train_labels, self.test_inputs, self.test_labels), strict=True)
        )

    def fingerprint(self) -> str:
        """sha256 (16 hex digits) over name, shape and content of all arrays: free of file names and packing.

        Texts enter as uint8 [N, 2, 1, L], the high and the low byte of each token's number: so they were stored when
        their first records were made, and a fingerprint means the same texts today.
        """
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            fixed = _fixed(array, is_labels=name.endswith("labels"))
            digest.update(f"{name}{fixed.shape}".encode())
            digest.update(np.ascontiguousarray(fixed).data)
        return digest.hexdigest()[:16]


def _fixed(array: np.ndarray, *, is_labels: bool) -> np.ndarray:
    """The array in the form whose bytes are hashed, the same on every machine."""
    if is_labels:
        return array.astype("<i8")
    if array.dtype == STORED["texts"]:
        return np.stack([array >> 8, array & 255], axis=1).astype(np.uint8)[:, :, None]
    return array.astype("<f4") if array.dtype == STORED["tables"] else array


def check(parts: Parts, source: Source, where: object) -> Parts:
    """The parts themselves, if they are what the catalogue says of this data set.

    Raises:
        DataError: inputs of another shape or type, numbers that are not finite, labels out of range or of another
            number, or no rows.
    """
    stored = STORED[source.kind]
    for part, inputs, labels in (
        ("training", parts.train_inputs, parts.train_labels),
        ("test", parts.test_inputs, parts.test_labels),
    ):
        at = f"{where}: the {part} part of {source.name}"
        if inputs.shape[1:] != source.shape or inputs.dtype != stored:
            raise DataError(
                f"{at} has {source.kind} {inputs.dtype} {inputs.shape[1:]} and should have {stored} {source.shape}: "
                "the files are altered or of another data set"
            )
        if len(inputs) != len(labels) or not len(labels):
            raise DataError(
                f"{at} has {len(inputs)} {source.kind} and {len(labels)} labels: the files are altered or mixed"
            )
        if labels.min() < 0 or labels.max() >= len(source.classes):
            raise DataError(
                f"{at} has labels from {labels.min()} to {labels.max()} and should have 0 to "
                f"{len(source.classes) - 1}: the files are altered or of another data set"
            )
        if source.kind == "tables" and not np.isfinite(inputs).all():
            raise DataError(f"{at} has numbers that are not finite: the files are altered")
    return parts
