"""The pages of a results folder that its suites share: the front, and a page for each method.

They come from the summaries beside the boards; no records are opened.
"""

from __future__ import annotations

from pathlib import Path

from bench.atomic import write_whole
from bench.leaderboard import front, method_page
from bench.leaderboard.summary import METHODS


def write_front(results: Path) -> tuple[list[Path], list[Path]]:
    """Write `index.html`, `README.md` and `methods/` of a results folder; pages of methods without a row are removed.

    Returns:
        What was written (of the methods' pages their folder), and the files that were left alone because something else
        wrote them.

    Raises:
        BenchError: one of them cannot be written.
    """
    found = front.collect(results)
    contents = {results / "index.html": front.render_page(found), results / "README.md": front.render_markdown(found)}
    left = [path for path, content in contents.items() if not _replace(path, content)]
    written = [path for path in contents if path not in left]
    folder = results / METHODS
    pages = {folder / f"{page.name}.html": page for page in method_page.pages(found, results)}
    left += [path for path, page in pages.items() if not _replace(path, method_page.render(page))]
    for path in folder.glob("*.html"):
        if path not in pages and _is_ours(path.read_bytes()):
            path.unlink()
    return [*written, *([folder] if pages else [])], left


def _replace(path: Path, content: str) -> bool:
    """Write a file, unless something else wrote it; whether it now has this content."""
    new = content.encode("utf-8", errors="replace")  # half a letter of a record is no reason to fail
    try:
        old = path.read_bytes() if path.exists() else None
    except OSError:
        return False
    if old is not None and not _is_ours(old):
        return False
    if old != new:
        write_whole(path, new)
    return True


def _is_ours(content: bytes) -> bool:
    """Whether an earlier call wrote it."""
    return front.MARK.encode() in content[:200]
