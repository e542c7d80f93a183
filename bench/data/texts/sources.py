"""The corpora in the catalogue: what each is, where its official files are, and how one knows that they are whole.

Hashes of archives, and of TREC and AG News, are those of Hugging Face's `dataset_infos.json`; of the unpacked files of
GLUE those of torchtext and PaddleNLP. Nobody publishes one of Subj, CR and the Amazon reviews: there the archive's own
checksums, and the number of texts, must agree (a set that comes so carries its fingerprint in its name). The airline
reviews have no home of their own: Q. Nguyen gathered them from Skytrax, Ben-David et al. (PERL, TACL 2020,
arXiv:2006.09075) drew 2,000 of them, and the hashes are those of their files at the commit that the address names.
"""

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
    return Source(name, "texts", description, "texts.corpus", classes, (length,), (folder,), remotes, hashes)


_CORNELL = "https://www.cs.cornell.edu/people/pabo/movie-review-data"
_GLUE = "https://dl.fbaipublicfiles.com/glue/data"
_TREC = "https://cogcomp.seas.upenn.edu/Data/QA/QC"
_AG_NEWS = "https://raw.githubusercontent.com/mhjabreel/CharCnn_Keras/master/data/ag_news_csv"
_AIRLINE = (
    "https://raw.githubusercontent.com/eyalbd2/Reproducing-AutoPrompt/"
    "6288fb5bec9c572f2492875ae0111df5b6daed11/blitzer_data/airline"
)
_REVIEWS = Remote(
    "domain_sentiment_data.tar.gz",
    ("https://www.cs.jhu.edu/~mdredze/datasets/sentiment/domain_sentiment_data.tar.gz",),
    None,
)


def _singly(folder: str, *files: tuple[str, str]) -> tuple[tuple[Remote, ...], tuple[tuple[str, str], ...]]:
    """Files that lie unpacked at their address, by name and sha256: as remotes, and as hashes."""
    return tuple(Remote(name, (f"{folder}/{name}",), sha256) for name, sha256 in files), files


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
        (
            Remote(
                "SST-2.zip",
                (f"{_GLUE}/SST-2.zip",),
                "d67e16fb55739c1b32cdce9877596db1c127dc322d93c082281f64057c16deaa",
            ),
        ),
        (("train.tsv", "da409a0a939379ed32a470bc0f7fe99a"), ("dev.tsv", "268856b487b2a31a28c0a93daaff7288")),
    ),
    _text(
        "mr",
        "MR: polarity of 10,662 film review sentences (Pang and Lee 2005); split ours, a tenth test",
        _NEGATIVE_POSITIVE,
        48,
        "rt-polaritydata",
        (
            Remote(
                "rt-polaritydata.tar.gz",
                (
                    f"{_CORNELL}/rt-polaritydata.tar.gz",
                    "https://storage.googleapis.com/seldon-datasets/sentence_polarity_v1/rt-polaritydata.tar.gz",
                ),
                "a05befe52aafda71d458d188a1c54506a998b1308613ba76bbda2e5029409ce9",
            ),
        ),
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
        "CR: polarity of sentences of customer reviews (Hu and Liu 2004); split ours, a tenth test. The official "
        "archive has 1,718 on five products; papers mostly use 3,771 on fourteen, which a table can give",
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
        *_singly(
            _TREC,
            ("train_5500.label", "9e4c8bdcaffb96ed61041bd64b564183d52793a8e91d84fc3a8646885f466ec3"),
            ("TREC_10.label", "033f22c028c2bbba9ca682f68ffe204dc1aa6e1cf35dd6207f2d4ca67f0d0e8e"),
        ),
    ),
    _text(
        "cola",
        "CoLA: whether a sentence is acceptable English, 8,551 train, 1,043 (GLUE's dev) test (Warstadt et al. 2018)",
        ("unacceptable", "acceptable"),
        24,
        "CoLA",
        (
            Remote(
                "CoLA.zip",
                (f"{_GLUE}/CoLA.zip",),
                "f212fcd832b8f7b435fb991f101abf89f96b933ab400603bf198960dfc32cbff",
            ),
        ),
        (("train.tsv", "c79d4693b8681800338aa044bf9e797b"), ("dev.tsv", "c5475ccefc9e7ca0917294b8bbda783c")),
    ),
    _text(
        "ag_news",
        "AG News: topic of news items, 4 topics, 120,000 train, 7,600 test (Zhang et al. 2015)",
        ("world", "sports", "business", "sci/tech"),
        80,
        "ag_news_csv",
        *_singly(
            _AG_NEWS,
            ("train.csv", "76a0a2d2f92b286371fe4d4044640910a04a803fdd2538e0f3f29a5c6f6b672e"),
            ("test.csv", "521465c2428ed7f02f8d6db6ffdd4b5447c1c701962353eb2c40d548c3c85699"),
        ),
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
        *_singly(
            _AIRLINE,
            ("train.tsv", "7edcfcf7f711ee397eb85889f054d34edd3c24b0bcd21d73e44d1ae33bbbdf45"),
            ("dev.tsv", "730b5dddc1b57ffca24e7f81d71d76f030b46162f13ebfd144fa9a7c459f6c67"),
        ),
    ),
)

_TEXTS = mixture(
    "texts",
    "all twelve corpora with one vocabulary, 30 classes: at most 4,000 training and 800 test texts of each",
    _CORPORA,
    (48,),
)
_SPEECH = "sentences written by a grammar, with negation and distracting clauses; needs no download"


def _single(corpus: Source) -> Source:
    classes = corpus.classes
    name = f"grammar{len(classes)}"
    return Source(name, "texts", f"the classes of {corpus.name} in {_SPEECH}", "texts.grammar", classes, _TEXTS.shape)


TEXTS = (
    *_CORPORA,
    _TEXTS,
    Source(
        "grammar",
        "texts",
        f"the tasks and classes of texts in {_SPEECH}",
        "texts.grammar",
        _TEXTS.classes,
        _TEXTS.shape,
    ),
    *(_single(corpus) for corpus in _CORPORA if corpus.name in ("sst2", "ag_news", "trec")),
)
