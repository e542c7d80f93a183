"""Texts as numbers: a tokeniser, a vocabulary, an encoding.

A text is put into lower case and cut by one regular expression into words (letters, digits, `_`), the endings that
an apostrophe joins to a word ('s, 't, 're, 've, 'll, 'd, 'm), and single marks of punctuation. "Don't stop!" is
`don`, `'t`, `stop`, `!`; so is "do n't" but for one `n` that stands alone, so that corpora whose texts came cut
into words (SST, MR) and those that did not share most of a vocabulary.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import numpy as np

PADDING, UNKNOWN = 0, 1
VOCABULARY = 4096
"""Token numbers that there are, padding and the unknown word included; a fingerprint has room for 65,536."""

_TOKEN = re.compile(r"'(?:s|t|re|ve|ll|d|m)\b|\w+|[^\w\s]")


@dataclass(frozen=True)
class Vocabulary:
    """The words of a data set by number."""

    words: tuple[str, ...]
    """That of number 2, of number 3, and so on: the most frequent first."""
    size: int = VOCABULARY
    """Numbers that a model must have room for, whether or not each has a word."""

    def text(self, numbers: Iterable[int]) -> str:
        """The words of a row of token numbers, padding left out, an unknown word as `?`."""
        return " ".join("?" if n == UNKNOWN else self.words[n - 2] for n in numbers if n != PADDING)


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
    """int64 [N, length] of token numbers, padded with 0; longer texts are cut, a blank one is one unknown word, so that
    every text has a token.

    Args:
        texts: tokens of N texts.
        numbers: the vocabulary.
        length: tokens that are kept.
    """
    import numpy as np

    codes = np.full((len(texts), length), PADDING, dtype=np.int64)
    for row, text in zip(codes, texts, strict=True):
        known = [numbers.get(token, UNKNOWN) for token in text[:length]] or [UNKNOWN]
        row[: len(known)] = known
    return codes
