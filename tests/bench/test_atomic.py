"""The one writer of files that are whole or not there."""

import errno
import os
import stat

import pytest

from bench.atomic import write_whole
from bench.errors import BenchError


def _raise(error: BaseException) -> None:
    raise error


def test_a_write_that_is_interrupted_keeps_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "deep" / "w.bin"
    write_whole(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: _raise(KeyboardInterrupt()))
    with pytest.raises(KeyboardInterrupt):
        write_whole(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(path.parent.iterdir()) == [path]


def test_a_full_disk_is_a_message_that_names_the_file_and_leaves_no_part(tmp_path, monkeypatch):
    path = tmp_path / "cpu.html"
    monkeypatch.setattr(os, "fsync", lambda _: _raise(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))))
    with pytest.raises(BenchError, match=r"cannot write .*cpu\.html: No space left on device; free some space"):
        write_whole(path, b"new")
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_cannot_be_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(BenchError, match=r"cannot write .*cpu\.md"):
        write_whole(tmp_path / "file" / "suite" / "cpu.md", b"new")


def test_everybody_may_read_what_the_mask_allows(tmp_path):
    path = tmp_path / "cpu.md"
    old = os.umask(0o022)
    try:
        write_whole(path, b"x")
    finally:
        os.umask(old)
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
