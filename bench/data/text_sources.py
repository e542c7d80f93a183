"""The corpora in the catalogue: what each is, where its official files are, and how one knows that they are whole."""

from __future__ import annotations

from bench.data.source import Remote, Source, mixture

_NEGATIVE_POSITIVE = ("negative", "positive")


def _text(
    name: str,
    description: str,
    classes: tuple[str, ...],
    length: int,
    folder: str,
    remotes: tuple[Remote, ...],
    hashes: tuple[tuple[str, str], ...] = (),
) -> Source:
    return Source(name, description, "text", classes, (2, 1, length), (folder,), remotes, hashes)


_CORNELL = "https://www.cs.cornell.edu/people/pabo/movie-review-data"
_GLUE = "https://dl.fbaipublicfiles.com/glue/data"
_TREC = "https://cogcomp.seas.upenn.edu/Data/QA/QC"
_AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
_REVIEWS = Remote(
    "domain_sentiment_data.tar.gz",
    ("https://www.cs.jhu.edu/~mdredze/datasets/sentiment/domain_sentiment_data.tar.gz",),
    None,
)


def _reviews(domain: str, things: str, length: int) -> Source:
    return _text(
        f"sentiment_{domain}",
        f"2,000 Amazon reviews of {things}, polarity (Blitzer et al. 2007); split ours, four fifths train",
        _NEGATIVE_POSITIVE,
        length,
        "sorted_data_acl",
        (_REVIEWS,),
    )


_CORPORA = (
    _text(
        "sst2",
        "SST-2: polarity of film review sentences, 67,349 phrases train, 872 sentences (GLUE's dev) test "
        "(Socher et al. 2013)",
        _NEGATIVE_POSITIVE,
        48,
        "SST-2",
        (Remote("SST-2.zip", (f"{_GLUE}/SST-2.zip",), None),),
    ),
    _text(
        "mr",
        "MR: polarity of 10,662 film review sentences (Pang and Lee 2005); split ours, a tenth test",
        _NEGATIVE_POSITIVE,
        48,
        "rt-polaritydata",
        (Remote("rt-polaritydata.tar.gz", (f"{_CORNELL}/rt-polaritydata.tar.gz",), None),),
    ),
    _text(
        "subj",
        "Subj: 10,000 sentences on films, opinion or plot (Pang and Lee 2004); split ours, a tenth test",
        ("objective", "subjective"),
        56,
        "rotten_imdb",
        (Remote("rotten_imdb.tar.gz", (f"{_CORNELL}/rotten_imdb.tar.gz",), None),),
    ),
    _text(
        "cr",
        "CR: polarity of 3,771 sentences of customer reviews (Hu and Liu 2004); split ours, a tenth test",
        _NEGATIVE_POSITIVE,
        48,
        "customer review data",
        (Remote("CustomerReviewData.zip", ("https://www.cs.uic.edu/~liub/FBS/CustomerReviewData.zip",), None),),
    ),
    _text(
        "trec",
        "TREC: kind of answer a question asks for, 6 coarse kinds, 5,452 train, 500 test (Li and Roth 2002)",
        ("abbreviation", "description", "entity", "human", "location", "number"),
        24,
        "trec",
        tuple(Remote(file, (f"{_TREC}/{file}",), None) for file in ("train_5500.label", "TREC_10.label")),
    ),
    _text(
        "cola",
        "CoLA: whether a sentence is acceptable English, 8,551 train, 1,043 (GLUE's dev) test (Warstadt et al. 2018)",
        ("unacceptable", "acceptable"),
        24,
        "CoLA",
        (Remote("CoLA.zip", (f"{_GLUE}/CoLA.zip",), None),),
    ),
    _text(
        "ag_news",
        "AG News: topic of news items, 4 topics, 120,000 train, 7,600 test (Zhang et al. 2015)",
        ("world", "sports", "business", "sci/tech"),
        80,
        "ag_news_csv",
        tuple(Remote(file, (f"{_AG_NEWS}/{file}",), None) for file in ("train.csv", "test.csv")),
    ),
    _reviews("books", "books", 640),
    _reviews("dvd", "DVDs", 600),
    _reviews("electronics", "electronics", 416),
    _reviews("kitchen", "kitchen ware", 320),
    _text(
        "sentiment_airline",
        "2,000 airline reviews, polarity (Skytrax reviews gathered by Nguyen, drawn by Ben-David et al. 2020); "
        "split ours, four fifths train",
        _NEGATIVE_POSITIVE,
        320,
        "airline",
        (Remote("labelled.tsv", (), None),),
    ),
)

_TEXTS = mixture(
    "texts",
    "all twelve corpora with one vocabulary, 30 classes: at most 4,000 training and 800 test texts of each",
    _CORPORA,
    (2, 1, 48),
)
_SPEECH = "sentences written by a grammar, with negation and distracting clauses; needs no download"


def _single(corpus: Source) -> Source:
    classes = corpus.classes
    name = f"grammar{len(classes)}"
    return Source(name, f"the classes of {corpus.name} in {_SPEECH}", "grammar", classes, _TEXTS.shape)


TEXTS = (
    *_CORPORA,
    _TEXTS,
    Source("grammar", f"the tasks and classes of texts in {_SPEECH}", "grammar", _TEXTS.classes, _TEXTS.shape),
    *(_single(corpus) for corpus in _CORPORA if corpus.name in ("sst2", "ag_news", "trec")),
)
