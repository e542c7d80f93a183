"""What a reader returns: the arrays of a data set as stored, checked, and their fingerprint."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import DataError

if TYPE_CHECKING:
    from bench.data.catalogue import Source


@dataclass(frozen=True)
class Parts:
    """The official parts: images uint8 [N, C, H, W], labels int64 [N], in the official order."""

    train_images: np.ndarray
    train_labels: np.ndarray
    test_images: np.ndarray
    test_labels: np.ndarray

    def arrays(self) -> dict[str, np.ndarray]:
        """The four arrays by name, in the order of the fingerprint."""
        return {
            "train_images": self.train_images,
            "train_labels": self.train_labels,
            "test_images": self.test_images,
            "test_labels": self.test_labels,
        }

    def fingerprint(self) -> str:
        """sha256 (16 hex digits) over name, shape and content of all arrays: free of file names and packing."""
        digest = hashlib.sha256()
        for name, array in self.arrays().items():
            digest.update(f"{name}{array.shape}".encode())
            fixed = array.astype("<i8") if name.endswith("labels") else array
            digest.update(np.ascontiguousarray(fixed).data)
        return digest.hexdigest()[:16]


def check(parts: Parts, source: Source, where: object) -> Parts:
    """The parts themselves, if they are what the catalogue says of this data set.

    Raises:
        DataError: images of another shape or type, labels out of range or of another number, or no rows.
    """
    for part, images, labels in (
        ("training", parts.train_images, parts.train_labels),
        ("test", parts.test_images, parts.test_labels),
    ):
        at = f"{where}: the {part} part of {source.name}"
        if images.shape[1:] != source.shape or images.dtype != np.uint8:
            raise DataError(
                f"{at} has images {images.dtype} {images.shape[1:]} and should have uint8 {source.shape}: "
                "the files are altered or of another data set"
            )
        if len(images) != len(labels) or not len(labels):
            raise DataError(f"{at} has {len(images)} images and {len(labels)} labels: the files are altered or mixed")
        if labels.min() < 0 or labels.max() >= len(source.classes):
            raise DataError(
                f"{at} has labels from {labels.min()} to {labels.max()} and should have 0 to "
                f"{len(source.classes) - 1}: the files are altered or of another data set"
            )
    return parts
