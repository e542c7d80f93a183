from __future__ import annotations

import gzip
import hashlib
from pathlib import Path

import numpy as np
import pytest

from bench.data import identify, load, verify
from bench.data.parts import Parts
from bench.data.spec import DataSpec
from bench.data.texts.corpus import divided
from bench.data.texts.kind import mask
from bench.data.texts.plain import rows
from bench.data.texts.tokens import UNKNOWN, Vocabulary, encode, tokens, vocabulary
from bench.errors import DataError

QUESTIONS = [
    ("train", "HUM", "Who wrote it ?"),
    ("train", "LOC", "Where is it ?"),
    ("train", "NUM", "How many ?"),
    ("test", "LOC", "Where is Paris ?"),
]


def table(path: Path, content: list[tuple[str, ...]], head: str = "split\tlabel\ttext") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    lines = [head, *("\t".join(row) for row in content)]
    path.write_bytes(gzip.compress(("\n".join(lines) + "\n").encode()))
    return path


@pytest.fixture
def trec(home: Path) -> Path:
    return table(home / "text" / "trec.tsv.gz", QUESTIONS)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Don't STOP!", "don 't stop !"),
        ("do n't stop", "do n 't stop"),
        ("it\N{RIGHT SINGLE QUOTATION MARK}s 3.50, isn't it?", "it 's 3 . 50 , isn 't it ?"),
        ("'quoted' words'", "' quoted ' words '"),
        ("naïve  café\n\tNo_1", "naïve café no_1"),
        (" \n", ""),
    ],
)
def test_a_text_is_cut_into_words_endings_and_marks(text: str, expected: str):
    assert tokens(text) == expected.split()


def test_the_most_frequent_words_have_the_lowest_numbers_and_ties_go_by_alphabet():
    assert vocabulary([["b", "a", "c"], ["c", "d"]]) == {"c": 2, "a": 3, "b": 4, "d": 5}
    assert vocabulary([["b", "a", "c"], ["c", "d"]], size=4) == {"c": 2, "a": 3}


def test_texts_are_rows_of_numbers_that_lead_back_to_words():
    numbers = {f"w{n}": n for n in range(2, 4096)}
    rows = encode([["w2", "w4095", "w256"], ["new"], [], ["w3"] * 9], numbers, 4)
    assert rows.dtype == np.int64
    assert rows.tolist() == [[2, 4095, 256, 0], [UNKNOWN, 0, 0, 0], [UNKNOWN, 0, 0, 0], [3, 3, 3, 3]]
    told = Vocabulary(tuple(numbers))
    assert [told.text(row) for row in rows] == ["w2 w4095 w256", "?", "?", "w3 w3 w3 w3"]


def test_a_fingerprint_is_that_of_the_two_bytes_in_which_texts_were_stored_once():
    rows, labels = np.array([[2, 4095, 256, 0]]), np.array([1])
    split = (
        b"train_images(1, 2, 1, 4)" + bytes([0, 15, 1, 0, 2, 255, 0, 0]) + b"train_labels(1,)" + bytes([1, *[0] * 7])
    )
    content = split + split.replace(b"train", b"test")
    assert Parts(rows, labels, rows, labels).fingerprint() == hashlib.sha256(content).hexdigest()[:16]


def test_a_corpus_goes_the_whole_way(trec: Path):
    data = load(DataSpec(name="trec"))
    assert data.shape == (24,)
    assert data.classes[4] == "location"
    assert data.train.labels.tolist() == [3, 4, 5]
    assert data.test.labels.tolist() == [4]
    known = vocabulary([tokens(text) for split, _, text in QUESTIONS if split == "train"])
    expected = [known["where"], known["is"], UNKNOWN, known["?"]]
    assert data.test.inputs[0, :5].tolist() == [*expected, 0]
    assert mask(data.test.inputs).sum(1).tolist() == [4]
    assert data.vocabulary.text(data.test.inputs[0].tolist()) == "where is ? ?"
    assert verify("trec").fingerprint == data.fingerprint == identify(DataSpec(name="trec")).fingerprint


def test_a_table_may_lie_beside_the_other_sets(home: Path, trec: Path):
    trec.rename(home / "trec.tsv.gz")
    assert len(load(DataSpec(name="trec")).train) == 3


def test_a_text_has_no_size(trec: Path):
    with pytest.raises(DataError, match="size = 24: trec holds texts of up to 24 tokens, which have no size"):
        identify(DataSpec(name="trec", size=24))


def test_escapes_are_undone_and_other_columns_passed_over(tmp_path: Path):
    content = [("x", r"a\nb\\n\tc", "train", "HUM"), ("y", "\N{LINE SEPARATOR}", "test", "LOC")]
    path = table(tmp_path / "t.tsv.gz", content, "source\ttext\tsplit\tlabel")
    assert list(rows(path, "")) == [("train", "HUM", "a\nb\\n\tc"), ("test", "LOC", "\N{LINE SEPARATOR}")]


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda raw: raw[:-9], r"trec\.tsv\.gz is half-downloaded or altered .*; put its official files into .*trec"),
        (lambda raw: b"<html>login</html>", "is half-downloaded or altered"),
        (
            lambda raw: gzip.compress(b"label\ttext\nHUM\ta\n"),
            "begins with the columns 'label, text' and should",
        ),
        (lambda raw: gzip.compress(b"split\tlabel\ttext\ntrain\tHUM\n"), "line 2: 2 fields and there should be 3"),
        (
            lambda raw: gzip.compress(b"split\tlabel\ttext\ntrain\t0\tgood\n"),
            "has the labels 0 and trec has ABBR",
        ),
        (lambda raw: gzip.compress(b"split\tlabel\ttext\ntrain\tHUM\t\xff\n"), "is not utf-8 text at byte 27"),
        (lambda raw: gzip.compress(b"split\tlabel\ttext\n"), "has no row of trec"),
        (lambda raw: gzip.compress(b"split\tlabel\ttext\ntrain\tHUM\twho\n"), "the test part of trec has 0 texts"),
    ],
)
def test_what_is_wrong_with_a_table_is_told(trec: Path, damage, message: str):
    trec.write_bytes(damage(trec.read_bytes()))
    with pytest.raises(DataError, match=message):
        identify(DataSpec(name="trec"))


def test_our_split_depends_on_content_alone():
    texts = [f"text {i % 90}" for i in range(200)]  # some are copies
    labels = np.arange(200) % 90 % 2
    one = divided(texts, labels, 0.1)
    order = np.random.default_rng(0).permutation(200)
    two = divided([f" {texts[i].upper()} " for i in order], labels[order], 0.1)
    assert [t.lower().strip() for t in two.test] == one.test
    assert [t.lower().strip() for t in two.train] == one.train
    assert np.array_equal(two.train_labels, one.train_labels)
    assert np.bincount(one.test_labels).tolist() == [round(0.1 * n) for n in np.bincount(labels)]
    assert sorted([*one.train, *one.test]) == sorted(texts)
    assert len(set(one.train) & set(one.test)) <= 2  # at the border of each class


def test_domains_share_a_table(home: Path):
    content = [
        ("train", str(i % 2), f"{domain} {i}", domain) for domain in ("books", "airline", "kitchen") for i in range(20)
    ]
    table(home / "text" / "multidomain_sentiment.tsv.gz", content, "split\tlabel\ttext\tdomain")
    for name in ("sentiment_books", "sentiment_airline", "sentiment_kitchen"):
        data = load(DataSpec(name=name))
        assert (len(data.train), len(data.validation), len(data.test)) == (15, 1, 4)
    with pytest.raises(DataError, match="has no row of sentiment_dvd"):
        identify(DataSpec(name="sentiment_dvd"))
