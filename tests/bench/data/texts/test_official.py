"""Corpora in their makers' formats: tiny made-up files, their archives, and what is told of damaged ones."""

from __future__ import annotations

import gzip
import hashlib
import io
import tarfile
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from bench.data import describe, fetch, identify, load
from bench.data.catalogue import SOURCES
from bench.data.remote import UnreachableError
from bench.data.source import Remote
from bench.data.spec import DataSpec
from bench.data.texts import corpora as corpora
from bench.data.texts.corpus import files, read_texts
from bench.errors import DataError

REVIEW = "<review>\n<title>\n{0}\n</title>\n<date>\n2006\n</date>\n<review_text>\n{1}\n</review_text>\n</review>\n"
FILES: dict[str, dict[str, bytes]] = {
    "sst2": {
        "SST-2/train.tsv": b'sentence\tlabel\nhide new secretions \t0\na "fine" film \t1\n',
        "SST-2/dev.tsv": b"sentence\tlabel\ncharming . \t1\n",
    },
    "cola": {
        "CoLA/train.tsv": b"gj04\t1\t\tThey left.\ngj04\t0\t*\tThey leaves.\n",
        "CoLA/dev.tsv": b"gj04\t1\t\tIt fell.\r\n",
    },
    "trec": {
        "trec/train_5500.label": b"LOC:city Which sister\xf0city ?\nHUM:ind Who ?\n",
        "trec/TREC_10.label": b"NUM:dist How far ?\n",
    },
    "ag_news": {
        "ag_news_csv/train.csv": b'"3","Oil, up","Prices\\of ""crude""\nrose"\n"1","War","Ends"\n',
        "ag_news_csv/test.csv": b'"4","Chips","Smaller"\n',
    },
    "mr": {
        "rt-polaritydata/rt-polarity.neg": b"dull \x97 very dull \nbad\n",
        "rt-polaritydata/rt-polarity.pos": b"a caf\xe9\nfine\n",
    },
    "subj": {
        "rotten_imdb/plot.tok.gt9.5000": b"he leaves\nshe stays\n",
        "rotten_imdb/quote.tok.gt9.5000": b"a triumph\na bore\n",
    },
    "cr": {
        f"customer review data/{name}": b"\r\n[t]title[+2]\r\nsize[+2],weight[-1][u]##small and light .\r\n"
        b"##no score\r\nzoom[-3]##the zoom broke .\r\nlens[+1],cap[-1]##mixed .\r\n"
        for name, _ in corpora.CORPORA["cr"].train_files
    },
    "sentiment_kitchen": {
        f"sorted_data_acl/kitchen_&_housewares/{name}.review": (
            REVIEW.format(name, "pots &amp; pans") + REVIEW.format("two", f"{name}\nlines")
        ).encode()
        for name in ("negative", "positive")
    },
    "sentiment_airline": {
        "airline/train.tsv": b'sentence\tlabel\r\n"said ""no""\tonce"\t0\r\nfine\t1\r\n',
        "airline/dev.tsv": b"sentence\tlabel\r\nlate\t0\r\nearly\t1\r\n",
    },
}
"""The official files of each kind of corpus, in small."""
ARCHIVES = {"sst2": "SST-2.zip", "mr": "rt-polaritydata.tar.gz", "sentiment_kitchen": "domain_sentiment_data.tar.gz"}


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Corpora whose number of texts is known have four, half of them for the test."""
    for name, corpus in corpora.CORPORA.items():
        rows = None if corpus.rows is None else 4
        share = None if corpus.test_share is None else 0.5
        monkeypatch.setitem(corpora.CORPORA, name, replace(corpus, rows=rows, test_share=share))


def place(home: Path, content: dict[str, bytes]) -> None:
    for name, raw in content.items():
        path = home / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(raw)


def pairs(name: str) -> set[tuple[str, int]]:
    """Every text with its label."""
    texts = read_texts(SOURCES[name], files(SOURCES[name]))
    return {
        *zip(texts.train, texts.train_labels.tolist(), strict=True),
        *zip(texts.test, texts.test_labels.tolist(), strict=True),
    }


EXPECTED = {
    "sst2": {("hide new secretions ", 0), ('a "fine" film ', 1), ("charming . ", 1)},
    "cola": {("They left.", 1), ("They leaves.", 0), ("It fell.", 1)},
    "trec": {("Which sister\xf0city ?", 4), ("Who ?", 3), ("How far ?", 5)},
    "ag_news": {('Oil, up Prices of "crude"\nrose', 2), ("War Ends", 0), ("Chips Smaller", 3)},
    "mr": {("dull \N{EM DASH} very dull ", 0), ("bad", 0), ("a caf\xe9", 1), ("fine", 1)},
    "subj": {("he leaves", 0), ("she stays", 0), ("a triumph", 1), ("a bore", 1)},
    "cr": {("small and light .", 1), ("the zoom broke .", 0)},
    "sentiment_kitchen": {
        ("negative pots & pans", 0),
        ("two negative\nlines", 0),
        ("positive pots & pans", 1),
        ("two positive\nlines", 1),
    },
    "sentiment_airline": {('said "no"\tonce', 0), ("fine", 1), ("late", 0), ("early", 1)},
}


@pytest.mark.parametrize("name", FILES)
def test_the_makers_own_files_are_read(name: str, home: Path):
    place(home, FILES[name])
    assert pairs(name) == EXPECTED[name]
    data = load(DataSpec(name=name))
    assert data.shape == SOURCES[name].shape
    assert data.variant == f"{name}-{data.fingerprint[:6]}"


def test_official_parts_stay_apart(home: Path):
    for name in ("sst2", "cola", "trec", "ag_news"):
        place(home, FILES[name])
        texts = read_texts(SOURCES[name], files(SOURCES[name]))
        assert (len(texts.train), len(texts.test)) == (2, 1)
    assert texts.test == ["Chips Smaller"]


@pytest.mark.parametrize("name", ["trec", "mr"])
def test_a_table_of_the_same_texts_is_the_same_set(name: str, home: Path):
    place(home, FILES[name])
    official = identify(DataSpec(name=name))
    texts = read_texts(SOURCES[name], files(SOURCES[name]))
    labels = corpora.CORPORA[name].labels
    rows = [("train", labels[y], x) for x, y in zip(texts.train, texts.train_labels, strict=True)]
    rows += [("test", labels[y], x) for x, y in zip(texts.test, texts.test_labels, strict=True)]
    for path in files(SOURCES[name]):
        path.unlink()
    lines = ["split\tlabel\ttext", *("\t".join(row) for row in rows)]
    (home / f"{name}.tsv.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    assert identify(DataSpec(name=name)).fingerprint == official.fingerprint


def test_files_with_the_published_hashes_have_the_plain_name(home: Path, monkeypatch: pytest.MonkeyPatch):
    place(home, FILES["trec"])
    hashes = tuple((name, hashlib.sha256(raw).hexdigest()) for name, raw in FILES["trec"].items())
    monkeypatch.setitem(SOURCES, "trec", replace(SOURCES["trec"], hashes=hashes))
    assert identify(DataSpec(name="trec")).variant == "trec"


@pytest.mark.parametrize(
    ("name", "file", "raw", "message"),
    [
        ("sst2", "SST-2/dev.tsv", b"text\tlabel\n", "dev.tsv begins with 'text.tlabel' and should with"),
        (
            "sst2",
            "SST-2/train.tsv",
            b"sentence\tlabel\ngood\t1\nba",
            "train.tsv, line 3: 1 fields and there should be 2",
        ),
        ("sst2", "SST-2/train.tsv", b"sentence\tlabel\n\xff\t1\n", "train.tsv is not utf-8 text at byte 15"),
        ("sst2", "SST-2/train.tsv", b"sentence\tlabel\ngood\t2\n", "has the labels 2 and sst2 has 0, 1"),
        ("cola", "CoLA/train.tsv", b"gj04\t1\tThey left.\n", "train.tsv, line 1: 3 fields and there should be 4"),
        ("trec", "trec/TREC_10.label", b"<html>\n", "TREC_10.label, line 1: '<html>' should be 'LABEL:kind question'"),
        ("trec", "trec/TREC_10.label", b"OTHER:x Why ?\n", "has the labels OTHER and trec has ABBR, DESC"),
        ("trec", "trec/TREC_10.label", b"", "the test part of trec has 0 texts"),
        ("ag_news", "ag_news_csv/test.csv", b'"5","a","b"\n', "test.csv, row 1: '5,a,b' should be class 1-4"),
        ("ag_news", "ag_news_csv/test.csv", b'"1","a","b"\n"2","a', "test.csv, row 2: '2,a' should be class"),
        ("mr", "rt-polaritydata/rt-polarity.pos", b"fine\n", "has 3 texts of mr and should have 4"),
        ("cr", "customer review data/Canon G3.txt", b"nothing\n", "Canon G3.txt has no line 'feature"),
        (
            "sentiment_kitchen",
            "sorted_data_acl/kitchen_&_housewares/negative.review",
            b"<review><title>a</title><review_text>cut",
            "has 2 texts of sentiment_kitchen and should have 4",
        ),
        ("sentiment_airline", "airline/dev.tsv", b"a,b\n", "dev.tsv should begin with the columns sentence, label"),
        ("sentiment_airline", "airline/dev.tsv", b"sentence\tlabel\nx\n", "dev.tsv, row 1: 1 fields and there should"),
    ],
)
def test_what_is_wrong_with_a_file_is_told(name: str, file: str, raw: bytes, message: str, home: Path):
    place(home, FILES[name] | {file: raw})
    told = f"{message}.*" if "has 0 texts" in message else f"(?s){message}.*put its official"
    with pytest.raises(DataError, match=told):
        identify(DataSpec(name=name))
    assert describe(name)["found"] is False


def packed(name: str, content: dict[str, bytes], *, cut: int | None = None) -> bytes:
    """An archive of these files, with more in it than belongs to the set."""
    stream = io.BytesIO()
    more = {"__MACOSX/x/" + next(iter(content)): b"junk", "../escaped": b""}
    if name.endswith(".zip"):
        with zipfile.ZipFile(stream, "w") as archive:
            for file, raw in {**more, **content}.items():
                archive.writestr(file, raw)
    else:
        with tarfile.open(fileobj=stream, mode="w:gz") as tar:
            for file, raw in {**more, **content}.items():
                info = tarfile.TarInfo(file)
                info.size = len(raw)
                tar.addfile(info, io.BytesIO(raw))
    return stream.getvalue()[:cut]


def publish(
    name: str, raw: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, sha256: str | None = None
) -> None:
    """Let the set's archive lie at a file: address."""
    served = tmp_path / "served" / ARCHIVES[name]
    served.parent.mkdir(exist_ok=True)
    served.write_bytes(raw)
    remote = Remote(ARCHIVES[name], (served.as_uri(),), sha256)
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], remotes=(remote,)))


@pytest.mark.parametrize("name", ARCHIVES)
def test_an_archive_is_fetched_and_its_own_files_unpacked(
    name: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish(name, packed(ARCHIVES[name], FILES[name]), tmp_path, monkeypatch)
    assert fetch(name).folder == (home / next(iter(FILES[name]))).parent
    assert pairs(name) == EXPECTED[name]
    left = {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file() and not path.name.startswith(".")}
    assert left == {*FILES[name], ARCHIVES[name]}
    assert not (home.parent / "escaped").exists()


@pytest.mark.parametrize(
    ("raw", "sha256", "message"),
    [
        (packed("SST-2.zip", FILES["sst2"], cut=200), None, "SST-2.zip is half-downloaded or no archive .*; delete it"),
        (b"<html>", None, "SST-2.zip is half-downloaded or no archive"),
        (packed("SST-2.zip", {"SST-2/train.tsv": b""}), None, "SST-2.zip holds no dev.tsv: it is another archive"),
        (b"<html>", "0" * 64, "is not the official file .its sha256 differs from 0000"),
    ],
    ids=["cut", "no-archive", "another-archive", "another-hash"],
)
def test_another_archive_leaves_nothing_behind(
    raw: bytes, sha256: str | None, message: str, home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    publish("sst2", raw, tmp_path, monkeypatch, sha256=sha256)
    with pytest.raises(DataError, match=message):
        fetch("sst2")
    assert not (home / "SST-2").exists()


def test_a_corpus_that_cannot_be_had_says_what_to_do(home: Path):
    with pytest.raises(
        UnreachableError, match=r"'trec' is not .* in .*trec, and could not be fetched: .*trec\.tsv\.gz"
    ):
        identify(DataSpec(name="trec"))
    assert "text/trec.tsv.gz, or run `python -m bench data fetch trec`" in describe("trec")["problem"]
