"""Corpora of labelled texts, read from their official files or from a plain table (see `bench.data.texts.plain`)."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from bench.data.catalogue import Source, places, remedy
from bench.data.parts import Parts
from bench.data.remote import download, fetching
from bench.data.texts import archive, plain
from bench.data.texts.corpora import CORPORA, Corpus
from bench.data.texts.official import FORMATS
from bench.data.texts.tokens import encode, tokens, vocabulary
from bench.errors import DataError
from bench.paths import data_root

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class RawTexts:
    """The parts of a corpus before they become numbers: texts and labels int64 [N]."""

    train: list[str]
    train_labels: np.ndarray
    test: list[str]
    test_labels: np.ndarray


def files(source: Source) -> tuple[Path, ...]:
    """The official files where all of them are here, else the plain table; () where there is neither."""
    corpus = CORPORA[source.name]
    official = tuple(places(source)[0] / name for name, _ in (*corpus.train_files, *corpus.test_files))
    if all(path.is_file() for path in official):
        return official
    for table in (f"{source.name}.tsv.gz", *corpus.tables):
        for path in (data_root() / "text" / table, data_root() / table):
            if path.is_file():
                return (path,)
    return ()


def read(source: Source, paths: tuple[Path, ...]) -> Parts:
    """The texts as token numbers, with the vocabulary of the training part.

    Raises:
        DataError: a file is torn, altered, or of another set.
    """
    texts = read_texts(source, paths)
    return as_parts(
        [tokens(text) for text in texts.train],
        texts.train_labels,
        [tokens(text) for text in texts.test],
        texts.test_labels,
        source.shape[-1],
    )


def as_parts(
    train: list[list[str]], train_labels: np.ndarray, test: list[list[str]], test_labels: np.ndarray, length: int
) -> Parts:
    """Tokens of texts, and labels, as the arrays of a set; `length` tokens of each are kept."""
    numbers = vocabulary(train)
    return Parts(
        encode(train, numbers, length), train_labels, encode(test, numbers, length), test_labels, tuple(numbers)
    )


def read_texts(source: Source, paths: tuple[Path, ...]) -> RawTexts:
    """Texts and labels. Raises DataError as `read`."""
    corpus = CORPORA[source.name]
    rows = _of_table(source, corpus, paths[0]) if paths[0].suffix == ".gz" else _of_official(source, corpus, paths)
    number = {name: label for label, name in enumerate(corpus.labels)}
    labels = np.array([number[label] for _, label, _ in rows], dtype=np.int64)
    texts = [text for _, _, text in rows]
    if corpus.test_share is not None:
        return divided(texts, labels, corpus.test_share)
    train = [i for i, (split, _, _) in enumerate(rows) if split.startswith("train")]
    test = [i for wanted in corpus.test for i, (split, _, _) in enumerate(rows) if split == wanted]
    return RawTexts([texts[i] for i in train], labels[train], [texts[i] for i in test], labels[test])


def fetch(source: Source, patience: float) -> None:
    """Download the official files, or the archive that holds them.

    Raises:
        UnreachableError, DataError: see `bench.data.remote.fetching`.
    """
    corpus = CORPORA[source.name]
    folder = places(source)[0]
    with fetching(source):
        for remote in source.remotes:
            if remote.file.endswith((".zip", ".tar.gz")):
                names = [name for name, _ in (*corpus.train_files, *corpus.test_files)]
                archive.bring(remote, data_root() / remote.file, folder, names, patience)
            elif not (folder / remote.file).is_file():
                download(remote, folder / remote.file, patience / len(source.remotes))


def divided(texts: list[str], labels: np.ndarray, share: float) -> RawTexts:
    """A split of our own, by content: the same rows from whatever file, in whatever order, they came.

    The rows of every class are put in the order of the sha256 of their tokens; the first `share` (rounded) of them
    are the test part, the rest the training part. Copies of a text stand side by side, so that none is in both
    parts but at the very border.
    """
    keys = [hashlib.sha256(" ".join(tokens(text)).encode()).digest() for text in texts]
    train: list[int] = []
    test: list[int] = []
    for label in np.unique(labels):
        rows = sorted(np.flatnonzero(labels == label).tolist(), key=lambda row: keys[row])
        border = round(share * len(rows))
        test += rows[:border]
        train += rows[border:]
    return RawTexts([texts[i] for i in train], labels[train], [texts[i] for i in test], labels[test])


def _of_table(source: Source, corpus: Corpus, path: Path) -> list[tuple[str, str, str]]:
    """(split, label, text) of each row."""
    wanted = ("split", "label", "text", *(("domain",) if path.name in corpus.tables and corpus.domain else ()))
    own = [row for row in plain.rows(path, remedy(source), wanted) if row[3:] in ((), (corpus.domain,))]
    if not own:
        raise DataError(f"{path} has no row of {source.name}: it is altered or of another data set; {remedy(source)}")
    return _known(source, corpus, path, [(split, label, text) for split, label, text, *_ in own])


def _of_official(source: Source, corpus: Corpus, paths: tuple[Path, ...]) -> list[tuple[str, str, str]]:
    """(split, label, text) of each row."""
    read_file = FORMATS[corpus.format]
    rows: list[tuple[str, str, str]] = []
    splits = ["train"] * len(corpus.train_files) + [corpus.test[0]] * len(corpus.test_files)
    files = (*corpus.train_files, *corpus.test_files)
    for path, split, (_, label) in zip(paths, splits, files, strict=True):
        own = [(split, label or said, text) for said, text in read_file(path, remedy(source))]
        rows += _known(source, corpus, path, own)
    if corpus.rows not in (None, len(rows)):
        raise DataError(
            f"{paths[0].parent} has {len(rows)} texts of {source.name} and should have {corpus.rows}: the files are "
            f"half-downloaded or altered; {remedy(source)}"
        )
    return rows


def _known(source: Source, corpus: Corpus, path: Path, rows: list[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    strange = sorted({label for _, label, _ in rows} - set(corpus.labels))
    if strange:
        raise DataError(
            f"{path} has the labels {', '.join(strange)[:80]} and {source.name} has {', '.join(corpus.labels)}: it is "
            f"altered or of another data set; {remedy(source)}"
        )
    return rows
