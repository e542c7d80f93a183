"""What can go wrong, by name. Every message says what was wrong, where, and what would be right."""

import difflib
from collections.abc import Iterable


class BenchError(Exception):
    """Bad input or a broken file: the command line prints the message alone and exits with 2."""


class SuiteError(BenchError):
    """A suite file that cannot be run as it stands."""


class DataError(BenchError):
    """A data set that is missing, half-downloaded or altered."""


class CheckpointError(BenchError):
    """Weights on disk that cannot be read, or do not go together."""


class ZooError(BenchError):
    """A standard model that can be neither loaded nor trained."""


class AccessDenied(BenchError):
    """A method touched knowledge that it did not declare."""


class BadResult(BenchError):
    """A method returned something that its scenario cannot score (wrong type, wrong shape, NaN)."""


class MethodError(BenchError):
    """A method raised, or its process ended; the message says what and where."""


class Skip(BenchError):
    """Raised by a method where it does not apply; the reason becomes the row's reason."""


def near_miss(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?' or, where nothing is near, the list of what there is."""
    names = sorted(known)
    close = difflib.get_close_matches(name, names, n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else f"; there are {', '.join(names) or 'none'}"
