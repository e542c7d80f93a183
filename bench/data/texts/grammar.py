"""Sets of written sentences that need no download (see `bench.data.texts.grammar_tasks`): stand-ins for the corpora.

`grammar` has the twelve tasks and thirty classes of `texts`; `grammar2`, `grammar4` and `grammar6` have the tasks of
sst2, ag_news and trec alone. Written anew at each reading, which takes a second or two.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.data.catalogue import SOURCES, Source
from bench.data.parts import Parts
from bench.data.texts import grammar_tasks, grammar_words
from bench.data.texts.corpus import as_parts
from bench.data.texts.grammar_tasks import TASKS, Draws
from bench.data.texts.tokens import tokens

SINGLE = {"grammar2": "sst2", "grammar4": "ag_news", "grammar6": "trec"}
"""Set of a single task -> that task."""
TRAIN, TEST = 600, 100
"""Sentences a class of `grammar`; a set of a single task has four times as many."""


def files(_source: Source) -> tuple[Path, ...]:
    """The code that writes the sentences."""
    return tuple(Path(str(module.__file__)) for module in (grammar_tasks, grammar_words))


def read(source: Source, _paths: tuple[Path, ...]) -> Parts:
    """Write the sentences; the classes are equal in number and come in turn."""
    tasks = [SINGLE[source.name]] if source.name in SINGLE else list(TASKS)
    times = 4 if source.name in SINGLE else 1
    train, train_labels = _written(tasks, "train", times * TRAIN)
    test, test_labels = _written(tasks, "test", times * TEST)
    return as_parts(train, train_labels, test, test_labels, source.shape[-1])


def fetch(_source: Source, _patience: float) -> None:
    """Nothing to do: the code is here."""


def _written(tasks: list[str], part: str, each: int) -> tuple[list[list[str]], np.ndarray]:
    classes = [(task, label) for task in tasks for label in range(len(SOURCES[task].classes))]
    draws = [Draws(task, label, part) for task, label in classes]
    texts = [
        tokens(TASKS[task](task, label, draw))
        for _ in range(each)
        for (task, label), draw in zip(classes, draws, strict=True)
    ]
    return texts, np.tile(np.arange(len(classes)), each)
