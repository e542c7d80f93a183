"""Texts as numbers, and the numbers as the bytes of an image: a tokeniser, a vocabulary, an encoding.

A text is put into lower case and cut by one regular expression into words (letters, digits, `_`), the endings that
an apostrophe joins to a word ('s, 't, 're, 've, 'll, 'd, 'm), and single marks of punctuation. "Don't stop!" is
`don`, `'t`, `stop`, `!`; so is "do n't" but for one `n` that stands alone, so that corpora whose texts came cut
into words (SST, MR) and those that did not share most of a vocabulary.
"""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

PADDING, UNKNOWN = 0, 1
VOCABULARY = 4096
"""Numbers there are, with padding and the unknown word."""

_TOKEN = re.compile(r"'(?:s|t|re|ve|ll|d|m)\b|\w+|[^\w\s]")


def tokens(text: str) -> list[str]:
    """The tokens of a text, in order; () for a blank one."""
    return _TOKEN.findall(text.lower().replace("\N{RIGHT SINGLE QUOTATION MARK}", "'"))


def vocabulary(texts: Iterable[Sequence[str]], size: int = VOCABULARY) -> dict[str, int]:
    """Token -> number from 2 on, the most frequent first, ties by alphabet; `size` numbers at most, 0 and 1 included.

    Args:
        texts: tokens of the training part.
        size: numbers there are.
    """
    counts: Counter[str] = Counter()
    for text in texts:
        counts.update(text)
    ranked = sorted(counts, key=lambda token: (-counts[token], token))
    return {token: number for number, token in enumerate(ranked[: size - 2], start=2)}


def encode(texts: Sequence[Sequence[str]], numbers: dict[str, int], length: int) -> np.ndarray:
    """uint8 [N, 2, 1, length]: high byte, low byte of each token's number; longer texts are cut, a blank one is one
    unknown word, so that every text has a token.

    Args:
        texts: tokens of N texts.
        numbers: the vocabulary.
        length: tokens that are kept.
    """
    codes = np.full((len(texts), length), PADDING, dtype=np.uint16)
    for row, text in zip(codes, texts, strict=True):
        known = [numbers.get(token, UNKNOWN) for token in text[:length]] or [UNKNOWN]
        row[: len(known)] = known
    return np.stack([codes >> 8, codes & 255], axis=1).astype(np.uint8)[:, :, None]


def decode(images: np.ndarray) -> np.ndarray:
    """int64 [N, length] of token numbers, from uint8 [N, 2, 1, length]: the reverse of `encode`."""
    wide = images[:, :, 0].astype(np.int64)
    return wide[:, 0] * 256 + wide[:, 1]
