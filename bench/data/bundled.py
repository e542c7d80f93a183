"""Where data sets lie that come with scikit-learn."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import DataError

if TYPE_CHECKING:
    from bench.data.source import Source


def files(source: Source) -> tuple[Path, ...]:
    """What changes when the installed scikit-learn does; found without importing it.

    Raises:
        DataError: scikit-learn is not installed.
    """
    spec = find_spec("sklearn")
    if spec is None or spec.origin is None:
        raise DataError(f"data set {source.name!r} comes with scikit-learn, which is not installed")
    return (Path(spec.origin),)
