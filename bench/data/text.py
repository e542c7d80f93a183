"""Corpora of labelled texts, read from their official files or from a plain table (see `bench.data.text_plain`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.data import text_plain
from bench.data.catalogue import Source, remedy
from bench.data.parts import Parts
from bench.data.remote import UnreachableError
from bench.data.text_corpora import CORPORA, Corpus
from bench.data.text_tokens import encode, tokens, vocabulary
from bench.errors import DataError
from bench.paths import data_root

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Texts:
    """The parts of a corpus before they become numbers: texts and labels int64 [N]."""

    train: list[str]
    train_labels: np.ndarray
    test: list[str]
    test_labels: np.ndarray


def files(source: Source) -> tuple[Path, ...]:
    """The plain table; () where there is none."""
    corpus = CORPORA[source.name]
    for table in (f"{source.name}.tsv.gz", *corpus.tables):
        for path in (data_root() / "text" / table, data_root() / table):
            if path.is_file():
                return (path,)
    return ()


def read(source: Source, paths: tuple[Path, ...]) -> Parts:
    """The texts as images of token numbers, with the vocabulary of the training part.

    Raises:
        DataError: a file is torn, altered, or of another set.
    """
    texts = read_texts(source, paths)
    train, test = ([tokens(text) for text in part] for part in (texts.train, texts.test))
    numbers = vocabulary(train)
    length = source.shape[-1]
    return Parts(encode(train, numbers, length), texts.train_labels, encode(test, numbers, length), texts.test_labels)


def read_texts(source: Source, paths: tuple[Path, ...]) -> Texts:
    """Texts and labels. Raises DataError as `read`."""
    return _from_table(source, CORPORA[source.name], paths[0])


def fetch(source: Source, _patience: float) -> None:
    """Not yet."""
    raise UnreachableError(f"data set {source.name!r} is not here; {remedy(source)}")


def divided(texts: list[str], labels: np.ndarray, share: float) -> Texts:
    """A split of our own, by content: the same rows from whatever file, in whatever order, they came.

    The rows of every class are put in the order of the sha256 of their text; the first `share` (rounded) of them
    are the test part, the rest the training part. Copies of a text stand side by side, so that none is in both
    parts but at the very border.
    """
    keys = [hashlib.sha256(text.encode()).digest() for text in texts]
    train: list[int] = []
    test: list[int] = []
    for label in np.unique(labels):
        rows = sorted(np.flatnonzero(labels == label).tolist(), key=lambda row: keys[row])
        border = round(share * len(rows))
        test += rows[:border]
        train += rows[border:]
    return Texts([texts[i] for i in train], labels[train], [texts[i] for i in test], labels[test])


def _from_table(source: Source, corpus: Corpus, path: Path) -> Texts:
    wanted = ("split", "label", "text", *(("domain",) if corpus.domain else ()))
    rows = [row for row in text_plain.rows(path, remedy(source), wanted) if row[3:] in ((), (corpus.domain,))]
    number = {name: label for label, name in enumerate(corpus.labels)}
    strange = sorted({row[1] for row in rows} - set(number))
    if strange:
        raise DataError(
            f"{path} has labels {', '.join(strange)[:80]!r} and {source.name} has {', '.join(corpus.labels)}: it is "
            f"altered or of another data set; {remedy(source)}"
        )
    labels = [number[row[1]] for row in rows]
    if corpus.test_share is not None:
        return divided([row[2] for row in rows], np.array(labels, dtype=np.int64), corpus.test_share)
    train = [i for i, row in enumerate(rows) if row[0].startswith("train")]
    test = [i for split in corpus.test for i, row in enumerate(rows) if row[0] == split]
    return Texts(
        [rows[i][2] for i in train],
        np.array([labels[i] for i in train], dtype=np.int64),
        [rows[i][2] for i in test],
        np.array([labels[i] for i in test], dtype=np.int64),
    )
