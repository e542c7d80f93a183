"""What a record says of where it was computed."""

from __future__ import annotations

import bench
from bench.records import provenance as told


def test_the_version_is_that_of_the_code_and_not_of_an_old_editable_install(monkeypatch) -> None:
    monkeypatch.setattr(told, "version", lambda package: "0.0.1")
    versions = told.provenance.__wrapped__()["versions"]
    assert versions["ktbench"] == bench.__version__
    assert versions["torch"] == "0.0.1"
