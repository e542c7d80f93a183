"""Downloads from a server of our own that resumes, breaks off, lies and falls silent."""

from __future__ import annotations

import gzip
import hashlib
import io
import shutil
import socket
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from bench.data import fetch, identify, load
from bench.data.catalogue import SOURCES, Remote
from bench.data.remote import UnreachableError
from bench.data.spec import DataSpec
from bench.errors import DataError


@dataclass
class Server:
    """Serves `files`; breaks off after `cut` bytes, once; honours Range unless told not to."""

    address: str = ""
    files: dict[str, bytes] = field(default_factory=dict)
    cut: int | None = None
    ranges: bool = True
    asked: list[str] = field(default_factory=list)

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        content = self.files.get(handler.path.lstrip("/"))
        wanted = handler.headers.get("Range", "") if self.ranges else ""
        self.asked.append(f"{handler.path} {wanted}".strip())
        start = int(wanted.removeprefix("bytes=").rstrip("-") or 0)
        if content is None or start >= len(content):
            handler.send_error(404 if content is None else 416)
            return
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(content) - start))
        handler.end_headers()
        end, self.cut = self.cut, None
        handler.wfile.write(content[start:end])


@pytest.fixture
def server() -> Iterator[Server]:
    state = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            state.answer(self)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        state.address = f"http://127.0.0.1:{http.server_port}"
        yield state
        http.shutdown()
        thread.join()


def publish(server: Server, monkeypatch: pytest.MonkeyPatch, name: str, files: dict[str, bytes]) -> None:
    """Let the server hold these files of a data set, and the catalogue say so."""
    server.files = files
    remotes = tuple(
        Remote(file, (f"{server.address}/{file}",), hashlib.sha256(content).hexdigest())
        for file, content in files.items()
    )
    monkeypatch.setitem(SOURCES, name, replace(SOURCES[name], remotes=remotes))


@pytest.fixture
def archive(cifar: Path) -> bytes:
    """An archive of CIFAR-10 with more in it than belongs to it; the unpacked files are gone."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        tar.add(cifar, arcname=cifar.name)
        tar.addfile(tarfile.TarInfo("../escaped"), io.BytesIO())
        tar.addfile(tarfile.TarInfo(f"{cifar.name}/stowaway"), io.BytesIO())
    shutil.rmtree(cifar)
    return packed.getvalue()


@pytest.fixture
def published(archive: bytes, server: Server, monkeypatch: pytest.MonkeyPatch) -> Server:
    publish(server, monkeypatch, "cifar10", {"cifar-10-python.tar.gz": archive})
    return server


def visible(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.suffix != ".lock")


def test_an_archive_is_fetched_checked_and_put_in_place(published: Server, home: Path):
    identity = identify(DataSpec(name="cifar10"))
    assert identity.stand_in_for is None
    assert visible(home) == ["cifar-10-batches-py"]
    names = visible(home / "cifar-10-batches-py")
    assert names == ["batches.meta", *(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]
    assert not (home.parent / "escaped").exists()


def test_what_is_here_is_not_fetched(published: Server):
    fetch("cifar10")
    fetch("cifar10")
    assert len(published.asked) == 1


@pytest.mark.parametrize("ranges", [True, False], ids=["server-resumes", "server-starts-again"])
def test_a_transfer_that_broke_off_is_gone_on_from(ranges: bool, published: Server, home: Path):
    published.cut, published.ranges = 3000, ranges
    with pytest.raises(UnreachableError, match=r"the transfer ended \d+ bytes early"):
        fetch("cifar10")
    assert visible(home) == ["cifar-10-python.tar.gz.part"]
    assert fetch("cifar10").folder.is_dir()
    assert published.asked[1] == "/cifar-10-python.tar.gz bytes=3000-"[: None if ranges else 23]
    assert visible(home) == ["cifar-10-batches-py"]


def test_a_run_whose_download_broke_off_goes_on_with_the_stand_in(published: Server):
    published.cut = 3000
    assert identify(DataSpec(name="cifar10", offline="digits")).stand_in_for == "cifar10"


@pytest.mark.parametrize("part", [b"altered", b"altered" * 100_000], ids=["shorter", "longer"])
def test_a_beginning_that_is_not_the_file_s_is_thrown_away(part: bytes, published: Server, home: Path):
    home.mkdir(exist_ok=True)
    (home / "cifar-10-python.tar.gz.part").write_bytes(part)
    assert fetch("cifar10").folder.is_dir()
    assert published.asked[-1] == "/cifar-10-python.tar.gz"


def test_an_altered_file_never_gets_in_place(published: Server, home: Path):
    published.files["cifar-10-python.tar.gz"] = b"<html>please log in</html>"
    with pytest.raises(
        DataError, match=r"sent as cifar-10-python.tar.gz is not the official file .*login page"
    ) as error:
        identify(DataSpec(name="cifar10", offline="digits"))
    assert not isinstance(error.value, UnreachableError)
    assert visible(home) == []


def test_an_archive_laid_down_by_hand_is_unpacked_without_network(published: Server, home: Path):
    home.mkdir(exist_ok=True)
    content = published.files.pop("cifar-10-python.tar.gz")
    (home / "cifar-10-python.tar.gz").write_bytes(content[:-1])
    with pytest.raises(DataError, match=r"cifar-10-python\.tar\.gz is half-downloaded or altered .*: delete it"):
        fetch("cifar10")
    (home / "cifar-10-python.tar.gz").write_bytes(content)
    assert fetch("cifar10").folder.is_dir()
    assert published.asked == []


def test_an_archive_without_the_batches_is_refused(server: Server, home: Path, monkeypatch: pytest.MonkeyPatch):
    publish(server, monkeypatch, "cifar10", {"cifar-10-python.tar.gz": gzip.compress(b"no archive")})
    with pytest.raises(DataError, match="is not the archive of cifar10"):
        fetch("cifar10")
    assert not (home / "cifar-10-batches-py").exists()


def test_idx_files_are_fetched_one_by_one_and_only_what_is_missing(
    mnist: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    files = {}
    for remote in SOURCES["mnist"].remotes:
        path = mnist / remote.file.removesuffix(".gz")
        files[remote.file] = gzip.compress(path.read_bytes()) if path.is_file() else (mnist / remote.file).read_bytes()
    publish(server, monkeypatch, "mnist", files)
    (mnist / "t10k-images-idx3-ubyte").unlink()
    assert len(load(DataSpec(name="mnist")).test) == 40
    assert server.asked == ["/t10k-images-idx3-ubyte.gz"]


def test_the_next_address_is_tried(mnist: Path, server: Server, monkeypatch: pytest.MonkeyPatch):
    (mnist / "t10k-labels-idx1-ubyte").unlink()
    content = gzip.compress(b"\0\0\x08\x01\0\0\0\x28" + bytes(40))
    publish(server, monkeypatch, "mnist", dict.fromkeys((r.file for r in SOURCES["mnist"].remotes), content))
    remotes = tuple(replace(r, addresses=(f"{server.address}/gone", *r.addresses)) for r in SOURCES["mnist"].remotes)
    monkeypatch.setitem(SOURCES, "mnist", replace(SOURCES["mnist"], remotes=remotes))
    assert fetch("mnist").folder == mnist
    assert server.asked == ["/gone", "/t10k-labels-idx1-ubyte.gz"]


def test_silence_is_waited_for_no_longer_than_patience(home: Path, monkeypatch: pytest.MonkeyPatch):
    from bench.data.identity import examine

    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/x"
        remote = replace(SOURCES["cifar10"].remotes[0], addresses=(address,))
        source = replace(SOURCES["cifar10"], remotes=(remote,))
        with pytest.raises(UnreachableError, match=r"no answer within 0\.2 s"):
            examine(source, patience=0.2)
    assert visible(home) == []


def test_a_data_root_that_cannot_be_written_is_told(home: Path):
    home.write_text("a file where a folder should be")
    with pytest.raises(UnreachableError, match="cannot be written"):
        fetch("cifar10")


def test_a_full_disk_is_not_taken_for_a_missing_network(published: Server, monkeypatch: pytest.MonkeyPatch):
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("bench.data.images.cifar.unpack", full)
    with pytest.raises(DataError, match=r"could not be written to .*No space left") as error:
        identify(DataSpec(name="cifar10", offline="digits"))
    assert not isinstance(error.value, UnreachableError)
