"""What is shown ends nothing."""

from __future__ import annotations

import io
import os
import sys

import pytest
from rich.console import Console

from bench.console import Forgiving, forgive, plain
from bench.running.progress import Silent, Terminal, sheltered


def _pipe():
    read, write = os.pipe()
    return os.fdopen(read, "rb"), os.fdopen(write, "w", encoding="utf-8")


def test_a_closed_pipe_is_passed_over_to_the_end():
    reader, writer = _pipe()
    reader.close()
    stream = Forgiving(writer)
    for _ in range(3):
        assert stream.write("text\n" * 5000) == 25000
        stream.flush()
    Console(file=stream).print("more")
    writer.close()  # what was buffered went nowhere, without a word


def test_a_full_disk_and_a_closed_stream_are_passed_over():
    full = Forgiving(open("/dev/full", "w", encoding="utf-8"))  # noqa: SIM115, PTH123
    full.write("x")
    full.flush()
    full.close()
    full.write("x")
    full.flush()


def test_letters_that_an_encoding_lacks_are_escaped():
    raw = io.BytesIO()
    stream = Forgiving(io.TextIOWrapper(raw, encoding="ascii"))
    stream.write("ünï→模型 \ud800\n")
    stream.flush()
    assert raw.getvalue() == rb"\xfcn\xef\u2192\u6a21\u578b \ud800" + b"\n"


def test_click_and_print_go_through_it(monkeypatch):
    import click

    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "stderr", None)
    forgive()
    forgive()
    click.echo("→")
    click.echo("nowhere", err=True)
    print("ü")  # noqa: T201
    sys.stdout.flush()
    assert raw.getvalue() == b"\\u2192\n\\xfc\n"
    sys.stderr.close()


def test_nothing_steers_the_terminal():
    assert plain("a\x1b[31mb\x07\r\u202e é\t\n") == "a\\x1b[31mb\\x07\\r\\u202e é\t\n"


class Broken(Silent):
    closed = False

    def warn(self, message: str) -> None:
        raise ZeroDivisionError(message)

    def tick(self, in_flight, told):
        raise KeyboardInterrupt

    def close(self) -> None:
        self.closed = True


def test_a_report_that_fails_ends_no_run_and_is_silent_from_there(caplog):
    broken = Broken()
    report = sheltered(broken)
    with pytest.raises(KeyboardInterrupt):
        report.tick({}, {})
    report.warn("first")
    assert broken.closed
    with pytest.warns(UserWarning, match="second"):
        report.warn("second")
    report.tick({}, {})
    assert [record.getMessage() for record in caplog.records] == [
        "nothing more is shown of this run, which goes on: ZeroDivisionError: first"
    ]


@pytest.mark.parametrize("width", [1, 2, 80])
def test_names_are_no_markup_whatever_the_width(width):
    out = io.StringIO()
    terminal = Terminal(Console(file=out, width=width, force_terminal=False), 1)
    terminal.warn("[/] in [bold]results[/x]\x1b[2J")
    assert out.getvalue() == "  warning: [/] in [bold]results[/x]\\x1b[2J\n"
