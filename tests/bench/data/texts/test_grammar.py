from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import RidgeClassifier

from bench.data import identify, load, verify
from bench.data.catalogue import SOURCES
from bench.data.spec import DataSpec
from bench.data.texts import grammar
from bench.data.texts.corpora import CORPORA
from bench.data.texts.grammar import SINGLE
from bench.data.texts.grammar_tasks import TASKS, Draws
from bench.data.texts.tokens import encode, tokens, vocabulary


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """A set that is written in no time."""
    monkeypatch.setattr(grammar, "TRAIN", 200)
    monkeypatch.setattr(grammar, "TEST", 60)


def as_numbers(texts: list[str], numbers: dict[str, int]) -> np.ndarray:
    return encode([tokens(text) for text in texts], numbers, 48)


def test_it_has_the_tasks_and_classes_of_texts():
    assert tuple(TASKS) == tuple(CORPORA) == SOURCES["texts"].members
    assert SOURCES["grammar"].classes == SOURCES["texts"].classes
    assert SOURCES["grammar"].shape == SOURCES["texts"].shape
    assert len(SOURCES["grammar"].classes) == 30
    for name, corpus in SINGLE.items():
        assert SOURCES[name].classes == SOURCES[corpus].classes


@pytest.mark.parametrize("name", ["grammar", *SINGLE])
def test_it_is_the_same_on_every_machine(name: str):
    assert verify(name).variant == name


@pytest.mark.usefixtures("few")
def test_it_stands_in_for_texts():
    spec = DataSpec(name="texts", offline="grammar", train=3000, validation=300, test=99999)
    identity = identify(spec)
    assert (identity.spec.name, identity.stand_in_for) == ("grammar", "texts")
    data = load(spec)
    assert data.classes == SOURCES["texts"].classes
    assert data.train.labels.bincount().tolist() == [100] * 30
    assert len(data.test) == 30 * grammar.TEST
    assert len(data.train) + len(data.validation) == 30 * 110


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("name", "offline"), [("ag_news", "grammar4"), ("trec", "grammar6"), ("sst2", "grammar2")])
def test_single_tasks_stand_in_for_corpora(name: str, offline: str):
    data = load(DataSpec(name=name, offline=offline, train=600, validation=60, test=200))
    assert data.name == offline
    assert data.classes == SOURCES[name].classes
    counts = data.train.labels.bincount().numpy()
    assert counts.max() - counts.min() <= 1
    assert counts.sum() == 600


@pytest.mark.parametrize("corpus", ["sst2", "subj", "trec", "cola", "ag_news"])
def test_words_tell_something_and_not_everything(corpus: str):
    k = len(SOURCES[corpus].classes)
    bags = []
    for part, each in (("train", 300), ("test", 100)):
        draws = [Draws(corpus, label, part) for label in range(k)]
        bags.append([TASKS[corpus](corpus, label, draws[label]) for _ in range(each) for label in range(k)])
    numbers = vocabulary(map(tokens, bags[0]))
    train, test = (
        np.stack([np.bincount(row, minlength=500)[1:] > 0 for row in as_numbers(part, numbers)]) for part in bags
    )
    classifier = RidgeClassifier(alpha=10.0).fit(train, np.tile(np.arange(k), 300))
    rate = classifier.score(test, np.tile(np.arange(k), 100))
    if corpus == "cola":  # only the order of the words tells
        assert 0.4 < rate < 0.6
    else:
        assert 1.15 / k < rate < 0.95


def test_acceptable_and_unacceptable_sentences_have_the_same_words():
    words = [
        {word for _ in range(2000) for word in TASKS["cola"]("cola", label, draw).split()}
        for label in (0, 1)
        for draw in [Draws("cola", label, "check")]
    ]
    assert words[0] == words[1]
