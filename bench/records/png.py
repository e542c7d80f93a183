"""Small pictures as PNG (ISO/IEC 15948), grey or RGB with 8 bits: what a record keeps of synthetic images."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

COLUMNS, ROWS, GAP = 10, 2, 1
"""A grid holds at most so many images, with so many pixels between them."""
BACKGROUND = 255
SIGNATURE = b"\x89PNG\r\n\x1a\n"
COLOUR_TYPES = {1: 0, 3: 2}
"""Channels -> the format's number for grey and for RGB."""


def grid(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The first images, uint8 [N, C, H, W] with C of 1 or 3, side by side in one, uint8 [H', W', C], unscaled.

    Raises:
        ValueError: there is no image, or the array is of another kind.
    """
    import numpy as np

    if images.dtype != np.uint8 or images.ndim != 4 or not images.size or images.shape[1] not in COLOUR_TYPES:
        raise ValueError(f"a grid takes uint8 [N, 1 or 3, H, W] with N > 0, not {images.dtype} {list(images.shape)}")
    images = images[: COLUMNS * ROWS]
    n, channels, height, width = images.shape
    rows, columns = -(-n // COLUMNS), min(n, COLUMNS)
    shape = (rows * (height + GAP) - GAP, columns * (width + GAP) - GAP, channels)
    sheet = np.full(shape, BACKGROUND, dtype=np.uint8)
    for i, image in enumerate(images):
        top, left = (i // COLUMNS) * (height + GAP), (i % COLUMNS) * (width + GAP)
        sheet[top : top + height, left : left + width] = image.transpose(1, 2, 0)
    return sheet


def encode(image: NDArray[np.uint8]) -> bytes:
    """A PNG file of uint8 [H, W, C], C of 1 or 3; the same bytes for the same image and zlib."""
    import numpy as np

    height, width, channels = image.shape
    header = struct.pack(">IIBBBBB", width, height, 8, COLOUR_TYPES[channels], 0, 0, 0)
    lines = np.zeros((height, 1 + width * channels), dtype=np.uint8)  # each line opens with its filter: none
    lines[:, 1:] = image.reshape(height, -1)
    pixels = zlib.compress(lines.tobytes(), 9)
    return SIGNATURE + _chunk(b"IHDR", header) + _chunk(b"IDAT", pixels) + _chunk(b"IEND", b"")


def size(png: bytes) -> tuple[int, int]:
    """(width, height) in pixels. Raises ValueError for what is no PNG."""
    if len(png) < 24 or not png.startswith(SIGNATURE) or png[12:16] != b"IHDR":
        raise ValueError("not a PNG")
    return struct.unpack(">II", png[16:24])


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
