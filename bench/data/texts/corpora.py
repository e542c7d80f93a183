"""The corpora as plain data: how labels are written, which rows are the test part, where a table of them may lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Corpus:
    """What the readers must know of a corpus."""

    labels: tuple[str, ...]
    """As tables and official files write them, in the order of the classes."""
    format: str
    """Of the official files (see `text_official.FORMATS`)."""
    train_files: tuple[tuple[str, str], ...]
    """Official files of the training part, or of all where there is no official split, below the set's folder; with
    the label of all rows of one that does not say it, else ''."""
    test_files: tuple[tuple[str, str], ...] = ()
    """Official files of the test part."""
    test: tuple[str, ...] = ("test",)
    """Splits of a plain table that are the test part, in this order; those named `train...` are the training part."""
    test_share: float | None = None
    """Where there is no official split: this share of every class is the test part (see `text.divided`)."""
    rows: int | None = None
    """Rows of all official files, where only their number tells that they are whole."""
    tables: tuple[str, ...] = ()
    """Names that a plain table of it may have besides NAME.tsv.gz."""
    domain: str | None = None
    """The rows of a table of several domains that are this corpus."""


_POLARITY = ("0", "1")
_REVIEWS = ("multidomain_sentiment.tsv.gz",)


def _whole(*files: str) -> tuple[tuple[str, str], ...]:
    return tuple((file, "") for file in files)


def _domain(name: str, folder: str) -> Corpus:
    files = ((f"{folder}/negative.review", "0"), (f"{folder}/positive.review", "1"))
    return Corpus(_POLARITY, "reviews", files, test_share=0.2, rows=2000, tables=_REVIEWS, domain=name)


CORPORA = {
    "sst2": Corpus(_POLARITY, "glue sentences", _whole("train.tsv"), _whole("dev.tsv"), test=("dev",)),
    "mr": Corpus(
        _POLARITY, "sentences", (("rt-polarity.neg", "0"), ("rt-polarity.pos", "1")), test_share=0.1, rows=10_662
    ),
    "subj": Corpus(
        _POLARITY, "sentences", (("plot.tok.gt9.5000", "0"), ("quote.tok.gt9.5000", "1")), test_share=0.1, rows=10_000
    ),
    "cr": Corpus(
        _POLARITY,
        "scored",
        _whole(
            "Apex AD2600 Progressive-scan DVD player.txt",
            "Canon G3.txt",
            "Creative Labs Nomad Jukebox Zen Xtra 40GB.txt",
            "Nikon coolpix 4300.txt",
            "Nokia 6610.txt",
        ),
        test_share=0.1,
    ),
    "trec": Corpus(
        ("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM"), "questions", _whole("train_5500.label"), _whole("TREC_10.label")
    ),
    "cola": Corpus(_POLARITY, "glue judgements", _whole("train.tsv"), _whole("dev.tsv"), test=("dev", "dev_out")),
    "ag_news": Corpus(
        ("World", "Sports", "Business", "Sci/Tech"),
        "news",
        _whole("train.csv"),
        _whole("test.csv"),
        tables=("ag_news_sub.tsv.gz",),
    ),
    "sentiment_books": _domain("books", "books"),
    "sentiment_dvd": _domain("dvd", "dvd"),
    "sentiment_electronics": _domain("electronics", "electronics"),
    "sentiment_kitchen": _domain("kitchen", "kitchen_&_housewares"),
    "sentiment_airline": Corpus(
        _POLARITY, "quoted", _whole("train.tsv", "dev.tsv"), test_share=0.2, tables=_REVIEWS, domain="airline"
    ),
}
"""Name -> corpus, in the order in which `texts` has them."""
