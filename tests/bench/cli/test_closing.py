"""The last lines of a run."""

from pathlib import Path
from types import SimpleNamespace

from bench.cli import closing

SUITE = SimpleNamespace(path=Path("suites/x.toml"), profile="cpu")


def board(*answers):
    told = {"paper": "p", "says": "s", "scenario": "x", "better": "a", "worse": "b", "reason": "", "notes": ()}
    told |= {"difference": None, "margin": 0.0, "times": 1.0, "seeds": 0}
    claims = tuple(SimpleNamespace(answer=a, id=a, **told) for a in answers)
    facts = {"suite": "x", "run": "x", "title": "X", "profile": "cpu", "records": 0, "data": (), "sections": ()}
    return SimpleNamespace(**facts, claims=claims, metric_of=lambda claim: None)


def last(made, results="results", failed=0):
    page = Path(results) / "x" / "cpu.html"
    return list(closing.lines(SUITE, made, page, Path(results), failed))


def test_what_was_found_and_where():
    found, page, _ = last(board("holds", "holds", "fails"))
    assert found == "found: 3 claims: 2 hold, 1 fails. No row is ranked."
    assert page == "page:  results/x/cpu.html (all suites: results/index.html)"


def test_what_to_try_next_depends_on_what_came_of_it():
    command = "next:  python -m bench run suites/x.toml --profile cpu"
    assert last(board("undecided"))[2].startswith(f"{command} --until-decided --budget 30min ")
    assert last(board("undecided"), "my results")[2].startswith(f"{command} --results 'my results' --until-decided")
    assert "the 2 failed cells" in last(board("undecided"), failed=2)[2]
    assert last(board("holds"))[2].startswith("next:  python -m bench list ")
