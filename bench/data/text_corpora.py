"""The corpora as plain data: how labels are written, which rows are the test part, where a table of them may lie."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Corpus:
    """What the readers must know of a corpus."""

    labels: tuple[str, ...]
    """As a plain table writes them, in the order of the classes."""
    test: tuple[str, ...] = ("test",)
    """Splits of a plain table that are the test part, in this order; those named `train...` are the training part."""
    test_share: float | None = None
    """Where there is no official split: this share of every class is the test part (see `text.divided`)."""
    rows: int | None = None
    """Rows of the whole official set, where only their number tells that a file is whole."""
    tables: tuple[str, ...] = ()
    """Names that a plain table of it may have besides NAME.tsv.gz."""
    domain: str | None = None
    """The rows of a table of several domains that are this corpus."""


_POLARITY = ("0", "1")
_REVIEWS = ("multidomain_sentiment.tsv.gz",)


def _domain(name: str, rows: int = 2000) -> Corpus:
    return Corpus(_POLARITY, test_share=0.2, rows=rows, tables=_REVIEWS, domain=name)


CORPORA = {
    "sst2": Corpus(_POLARITY, test=("dev",)),
    "mr": Corpus(_POLARITY, test_share=0.1, rows=10_662),
    "subj": Corpus(_POLARITY, test_share=0.1, rows=10_000),
    "cr": Corpus(_POLARITY, test_share=0.1),
    "trec": Corpus(("ABBR", "DESC", "ENTY", "HUM", "LOC", "NUM")),
    "cola": Corpus(_POLARITY, test=("dev", "dev_out")),
    "ag_news": Corpus(("World", "Sports", "Business", "Sci/Tech"), tables=("ag_news_sub.tsv.gz",)),
    "sentiment_books": _domain("books"),
    "sentiment_dvd": _domain("dvd"),
    "sentiment_electronics": _domain("electronics"),
    "sentiment_kitchen": _domain("kitchen"),
    "sentiment_airline": _domain("airline"),
}
"""Name -> corpus, in the order in which `texts` has them."""
