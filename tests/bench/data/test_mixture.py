from __future__ import annotations

import gzip
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from bench.data import describe, identify, load, mixture, verify
from bench.data.catalogue import SOURCES
from bench.data.images import shapes as shapes_reader
from bench.data.images.resize import to_side
from bench.data.mixture import Limits, drawn
from bench.data.remote import UnreachableError
from bench.data.spec import DataSpec
from bench.data.texts.corpora import CORPORA
from bench.errors import DataError

EACH = 30


@pytest.fixture
def corpora(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All twelve in tables: of each, `EACH` training texts and half as many test texts, that name corpus and class."""
    monkeypatch.setitem(mixture.LIMITS, "texts", Limits(12, 6))
    for name, corpus in CORPORA.items():
        k = len(corpus.labels)
        rows = ["split\tlabel\ttext"]
        for split, n in (("train", EACH), (corpus.test[0], EACH // 2)):
            rows += [f"{split}\t{corpus.labels[i % k]}\t{name} class{i % k} shared {split}{i}" for i in range(n)]
        path = home / "text" / f"{name}.tsv.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(gzip.compress("\n".join(rows).encode()))
    return home / "text"


@pytest.fixture
def images(home: Path, mnist: Path, cifar: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(mnist, home / "fashion-mnist")
    monkeypatch.setitem(mixture.LIMITS, "pictures", Limits(50, 20))
    monkeypatch.setitem(shapes_reader.ROWS, "shapes32", (60, 20))
    return home


def test_classes_are_those_of_the_members_in_order():
    texts = SOURCES["texts"]
    assert texts.members == tuple(CORPORA)
    assert texts.classes[8:14:5] == ("trec: abbreviation", "trec: number")
    assert len(texts.classes) == len(set(texts.classes)) == 30
    assert len(SOURCES["pictures"].classes) == 40
    assert not texts.bundled
    assert len(SOURCES["shapes40"].classes) == 40  # its stand-in
    assert SOURCES["shapes40"].bundled
    assert {"texts": Limits(4000, 800), "pictures": Limits(6000, 1000)} == mixture.LIMITS


@pytest.mark.usefixtures("corpora")
def test_texts_have_one_vocabulary_and_labels_of_their_own():
    data = load(DataSpec(name="texts", validation=12))
    labels = torch.cat([data.train.labels, data.validation.labels])
    numbers = torch.cat([data.train.inputs, data.validation.inputs])
    assert data.shape == (48,)
    first = 0
    names = {}
    for member in SOURCES["texts"].members:
        k = len(SOURCES[member].classes)
        own = (labels >= first) & (labels < first + k)
        counts = labels[own].bincount(minlength=first + k)[first:]
        assert counts.tolist() == [12 // k] * k, member
        (names[member],) = set(numbers[own, 0].tolist())  # every text begins with its corpus
        first += k
    assert len(set(names.values()) - {1}) == 12
    assert len(set(numbers[:, 2].tolist())) == 1  # the third word is the same in all corpora
    assert len(data.test) == 9 * 6 + 3 * 4  # a tenth of mr, subj and cr is less than the limit


@pytest.mark.usefixtures("corpora")
def test_a_smaller_corpus_is_taken_whole_and_the_set_is_always_the_same(monkeypatch: pytest.MonkeyPatch):
    first = verify("texts")
    assert verify("texts") == first
    monkeypatch.setitem(mixture.LIMITS, "texts", Limits(10_000, 10_000))
    data = load(DataSpec(name="texts", validation=1))
    assert data.fingerprint == identify(DataSpec(name="texts")).fingerprint


def test_what_is_missing_is_named(corpora: Path):
    (corpora / "trec.tsv.gz").unlink()
    with pytest.raises(UnreachableError, match=r"texts lacks trec: data set 'trec' is not .* bench data fetch trec"):
        identify(DataSpec(name="texts"))
    assert describe("texts")["problem"].startswith("texts lacks trec: trec is not, or not wholly, in")
    with pytest.raises(DataError, match="texts lacks trec: trec is not"):
        verify("texts")
    identity = identify(DataSpec(name="texts", offline="grammar"))
    assert identity.stand_in_for == "texts"
    assert identity.classes == SOURCES["texts"].classes


def test_a_change_of_one_member_is_seen(corpora: Path):
    before = identify(DataSpec(name="texts")).fingerprint
    path = corpora / "cola.tsv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b"shared", b"another")))
    assert identify(DataSpec(name="texts")).fingerprint != before


def test_a_damaged_member_is_told(corpora: Path):
    path = corpora / "mr.tsv.gz"
    path.write_bytes(path.read_bytes()[:50])
    with pytest.raises(DataError, match=r"mr\.tsv\.gz is half-downloaded or altered"):
        identify(DataSpec(name="texts"))


@pytest.mark.usefixtures("images")
def test_pictures_are_the_members_images_at_one_shape():
    data = load(DataSpec(name="pictures", validation=20))
    assert data.shape == (3, 32, 32)
    labels = torch.cat([data.train.labels, data.validation.labels])
    assert labels.bincount().tolist() == [5] * 40
    assert data.test.labels.bincount().tolist() == [2] * 40
    digits = load(DataSpec(name="mnist"))
    every = torch.cat([digits.train.inputs, digits.validation.inputs])
    framed = {image.tobytes() for image in to_side(every, 32).numpy()}
    drawn_digits = torch.cat([data.train.inputs, data.validation.inputs])[labels < 10]
    assert all(torch.equal(image[0], image[2]) and image[:1].numpy().tobytes() in framed for image in drawn_digits)
    assert identify(DataSpec(name="pictures", size=16)).shape == (3, 16, 16)


def test_missing_pictures_are_named(images: Path):
    shutil.rmtree(images / "fashion-mnist")
    assert describe("pictures")["problem"].startswith("pictures lacks fashion_mnist: fashion_mnist is not")
    with pytest.raises(DataError, match="would need a download itself; digits, shapes32, shapes40, grammar"):
        identify(DataSpec(name="mnist", offline="pictures"))


def test_draws_are_even_over_the_classes_and_fixed():
    labels = np.array([0] * 50 + [1] * 5 + [2] * 45)
    rows = drawn(labels, 3, 25, "a")
    assert np.bincount(labels[rows]).tolist() == [11, 5, 9]
    assert np.array_equal(rows, drawn(labels, 3, 25, "a"))
    assert not np.array_equal(rows, drawn(labels, 3, 25, "b"))
    assert np.array_equal(drawn(labels, 3, 1000, "a"), np.arange(100))
