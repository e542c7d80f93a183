"""The data sets there are, as plain data: what each is, where its files lie, and where they come from."""

from __future__ import annotations

from pathlib import Path

from bench.data.source import Remote, Source, mixture
from bench.data.tables.sources import TABLES
from bench.data.texts.sources import TEXTS
from bench.errors import DataError, near_miss
from bench.paths import data_root

__all__ = ["SOURCES", "Remote", "Source", "fullest", "missing", "places", "remedy", "source_of"]

_DIGIT_NAMES = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
_IDX = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
_SHAPES = ("disc", "square", "triangle", "cross", "ring", "bar", "dome", "tee", "ell", "cup")
_TEXTURES = ("striped", "checked", "dotted", "plain")


def _idx_remotes(hosts: tuple[str, ...], hashes: tuple[str, ...]) -> tuple[Remote, ...]:
    return tuple(
        Remote(f"{file}.gz", tuple(f"{host}/{file}.gz" for host in hosts), sha256)
        for file, sha256 in zip(_IDX, hashes, strict=True)
    )


_IMAGES = (
    Source(
        name="cifar10",
        kind="images",
        description="CIFAR-10: 60,000 photographs of 10 kinds of objects, 32x32 RGB (Krizhevsky 2009)",
        reader="images.cifar",
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        shape=(3, 32, 32),
        folders=("cifar-10-batches-py",),
        remotes=(
            Remote(
                "cifar-10-python.tar.gz",
                ("https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz",),
                "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
            ),
        ),
        hashes=(  # md5, as published with the data set's readers
            ("data_batch_1", "c99cafc152244af753f735de768cd75f"),
            ("data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"),
            ("data_batch_3", "54ebc095f3ab1f0389bbae665268c751"),
            ("data_batch_4", "634d18415352ddfa80567beed471001a"),
            ("data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"),
            ("test_batch", "40351d587109b95175f43aff81a1287e"),
        ),
    ),
    Source(
        name="fashion_mnist",
        kind="images",
        description="Fashion-MNIST: 70,000 pieces of clothing of 10 kinds, 28x28 grey (Xiao et al. 2017)",
        reader="images.idx",
        classes=(
            "t-shirt",
            "trouser",
            "pullover",
            "dress",
            "coat",
            "sandal",
            "shirt",
            "sneaker",
            "bag",
            "ankle boot",
        ),
        shape=(1, 28, 28),
        folders=("fashion-mnist", "fashion_mnist"),
        remotes=_idx_remotes(
            ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",),
            (
                "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
                "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
                "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
                "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            ),
        ),
        hashes=(  # sha256 of the unpacked files
            (_IDX[0], "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888"),
            (_IDX[1], "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9"),
            (_IDX[2], "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b"),
            (_IDX[3], "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34"),
        ),
    ),
    Source(
        name="mnist",
        kind="images",
        description="MNIST: 70,000 handwritten digits, 28x28 grey (LeCun et al. 1998)",
        reader="images.idx",
        classes=_DIGIT_NAMES,
        shape=(1, 28, 28),
        folders=("mnist",),
        remotes=_idx_remotes(
            (
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "https://storage.googleapis.com/cvdf-datasets/mnist",
            ),
            (
                "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
                "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
                "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
                "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            ),
        ),
        hashes=(  # sha256 of the unpacked files
            (_IDX[0], "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db"),
            (_IDX[1], "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5"),
            (_IDX[2], "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7"),
            (_IDX[3], "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2"),
        ),
    ),
    Source(
        name="digits",
        kind="images",
        description="scikit-learn's bundled digits: 1,797 handwritten digits, 8x8 grey; needs no download",
        reader="images.digits",
        classes=_DIGIT_NAMES,
        shape=(1, 8, 8),
    ),
    Source(
        name="shapes32",
        kind="images",
        description="procedural shapes and textures under nuisances: 14,000 images of 10 classes, 32x32 RGB; "
        "needs no download",
        reader="images.shapes",
        classes=tuple(f"{texture} {shape}" for shape in _SHAPES[:5] for texture in _TEXTURES[:2]),
        shape=(3, 32, 32),
    ),
    Source(
        name="shapes40",
        kind="images",
        description="procedural shapes and textures under nuisances: 24,000 images of 40 classes, ten of each texture, "
        "32x32 RGB; needs no download",
        reader="images.shapes",
        classes=tuple(f"{texture} {shape}" for texture in _TEXTURES for shape in _SHAPES),
        shape=(3, 32, 32),
    ),
)

_PICTURES = mixture(
    "pictures",
    "MNIST, Fashion-MNIST, CIFAR-10 and shapes32 at 32x32 RGB, 40 classes: 6,000 training and 1,000 test images "
    "of each",
    tuple(next(s for s in _IMAGES if s.name == name) for name in ("mnist", "fashion_mnist", "cifar10", "shapes32")),
    (3, 32, 32),
)

SOURCES: dict[str, Source] = {source.name: source for source in (*_IMAGES, _PICTURES, *TEXTS, *TABLES)}


def source_of(name: str) -> Source:
    """The data set of this name.

    Raises:
        DataError: there is none; the message suggests the nearest name.
    """
    if name not in SOURCES:
        raise DataError(f"unknown data set {name!r}{near_miss(name, SOURCES)}")
    return SOURCES[name]


def places(source: Source) -> list[Path]:
    """Every folder in which this data set is looked for."""
    return [data_root() / folder for folder in source.folders]


def fullest(source: Source, suffixes: tuple[str, ...] = ("",)) -> tuple[Path, list[str]]:
    """The one of its places that lacks least, the first of equals, and which of its `hashes` files are not there.

    A file may be there under any of the suffixes.
    """
    lacking = {place: _lacking(source, place, suffixes) for place in places(source)}
    return min(lacking.items(), key=lambda item: len(item[1]))


def missing(source: Source, suffixes: tuple[str, ...] = ("",)) -> str:
    """Of every place where some of its files are, which are not; '' where no place has any."""
    lacking = {place: _lacking(source, place, suffixes) for place in places(source)}
    partly = {place: names for place, names in lacking.items() if 0 < len(names) < len(source.hashes)}
    return "; ".join(f"{place} lacks {', '.join(names)}" for place, names in partly.items())


def _lacking(source: Source, place: Path, suffixes: tuple[str, ...]) -> list[str]:
    return [name for name, _ in source.hashes if not any((place / f"{name}{end}").is_file() for end in suffixes)]


def remedy(source: Source) -> str:
    """What to do about a missing or damaged data set, as the end of a message."""
    if source.members:
        return f"it is made of {', '.join(source.members)}: see `python -m bench data list`"
    folder = places(source)[0]
    table = f", or one table of all into {data_root() / 'text' / source.name}.tsv.gz" if source.kind == "texts" else ""
    return (
        f"put its official files into {folder} (or set BENCH_DATA to the folder that holds {source.folders[0]})"
        f"{table}, "
        f"or run `python -m bench data fetch {source.name}` where there is a network"
    )
