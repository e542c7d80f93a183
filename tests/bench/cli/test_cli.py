"""The command line: what each command prints, and how it exits."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


def test_help_answers_without_torch(command):
    heavy = "{'torch', 'numpy', 'pydantic', 'pandas'}"
    code = f"import sys, bench.cli.main; assert not {heavy} & set(sys.modules), sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
    assert "run" in command("--help", plugin=False).stdout


def test_run_leaves_records_a_leaderboard_and_verdicts(command, program, write_suite, tmp_path):
    done = program("run", write_suite(), "--profile", "smoke", "--jobs", "1")
    assert done.returncode == 0, done.stderr
    assert "6 cells run, 0 on record, 0 failed" in done.stdout
    assert "no look is complete: the first is at 3 seeds" in done.stdout
    folder = tmp_path / "results" / "toysuite"
    assert {path.suffix for path in folder.iterdir()} >= {".jsonl", ".md", ".csv", ".html"}
    again = command("run", write_suite(), "--profile", "smoke")
    assert "0 cells to run, 6 on record" in again.stdout


def test_a_failed_cell_shows_in_the_exit_code(command, write_suite):
    done = command("run", write_suite(methods=["toy-raises"]), "--profile", "smoke", "--seeds", "0")
    assert done.returncode == 1
    assert "FAIL  hand/toy-raises/0: ValueError: the optimiser ran away" in done.stdout


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (("run", "nowhere"), "error: no suite 'nowhere'"),
        (("run", "SUITE", "--profile", "smke"), "no profile 'smke'; did you mean 'smoke'"),
        (("run", "SUITE", "--profile", "smoke", "--seeds", "a,b"), "not a list of numbers"),
        (("run", "SUITE", "--profile", "smoke", "--seeds", "0,0"), "seeds [0, 0] repeat one"),
        (("run", "SUITE", "--profile", "smoke", "--only", "x"), "--only 'x' matches no cell"),
        (("run", "SUITE", "--profile", "smoke", "--jobs", "0"), "1<=x<=1024"),
        (("run", "SUITE", "--profile", "smoke", "--device", "cuda"), "torch sees no GPU"),
        (("leaderboard", "SUITE", "--profile", "smoke"), "no records at"),
        (("show", "toy-noisy-men"), "nothing is named 'toy-noisy-men'; did you mean 'toy-noisy-mean'"),
        (("test", "toy-noisy-men"), "unknown method 'toy-noisy-men'"),
        (("test", "zzz"), "\nif it stands in a file of yours, add --plugin FILE.py to the command"),
        (("explain", "hand/zzz", "--suite", "SUITE", "--profile", "smoke"), "no cell is named 'hand/zzz'"),
        (("data", "verify", "cifar11"), "cifar11"),
        (("check",), "give a SUITE, or --schema"),
    ],
)
def test_bad_input_exits_with_2_and_a_message(command, write_suite, words, told):
    suite = write_suite()
    done = command(*(suite if word == "SUITE" else word for word in words), plugin=words[0] != "data")
    assert done.returncode == 2, done.stdout + done.stderr
    assert told in done.stderr
    assert "Traceback" not in done.stderr


def test_dry_run_tells_cells_and_times_and_runs_nothing(command, write_suite, tmp_path):
    suite = write_suite()
    before = command("run", suite, "--profile", "smoke", "--dry-run")
    assert "0 on record, 6 to run: time unknown" in before.stdout
    assert not (tmp_path / "results").exists()
    command("run", suite, "--profile", "smoke", "--seeds", "0")
    after = command("run", suite, "--profile", "smoke", "--dry-run")
    assert "3 on record, 3 to run: about" in after.stdout


def test_list_and_show_speak_json(command):
    listed = json.loads(command("list", "--json").stdout)
    assert "toy-nearest-mean" in listed["methods"]
    assert {"cifar10", "digits", "shapes32"} <= set(listed["data"])
    assert "digits" in listed["suites"]
    shown = json.loads(command("show", "toy-nearest-mean", "--json").stdout)
    assert shown["parameters"]["shrink"] == {"type": "number", "default": 0.0, "at least": 0, "at most": 1}
    assert shown["of every row"].keys() == {"method", "label", "search", "control"}
    assert shown["sees"]["toy"] == sorted(
        ["inputs", "labels", "compute", "device", "seed", "generator", "num_classes", "input_shape", "progress"]
    )


def test_show_explains_a_scenario_and_a_suite(command, write_suite):
    told = command("show", "toy").stdout
    assert "inputs: labels or unlabeled" in told
    assert "trials: type integer, default 0, at least 0, at most 10000, Validation trials of each row" in told
    assert "methods: type array, default none, The rows: names of methods, tables with" in told
    assert ', or { rows = "NAME" } for those of a list [rows.NAME].\n' in told
    assert "seconds: type number or none, default none, above 0" in command("show", "datafree").stdout
    assert "parameters: none\n" in command("show", "toy-nan").stdout
    assert "toy-noisy-mean" in command("show", write_suite(), "--profile", "smoke").stdout


def test_check_goes_through_all_profiles(command, write_suite):
    done = command("check", write_suite(more='[profiles.gpu]\nprecision = "bf16"\n'))
    assert done.returncode == 0, done.stderr
    assert "profile smoke is sound: 1 scenarios, 3 rows, 2 seeds, 6 cells, 1 claims" in done.stdout
    assert "profile gpu is sound" in done.stdout


def test_the_schema_knows_every_kind_and_method(command):
    schema = json.loads(command("check", "--schema").stdout)
    kinds = schema["properties"]["scenarios"]["additionalProperties"]["anyOf"]
    assert {kind["properties"]["kind"]["const"] for kind in kinds} >= {"toy", "fuse", "merge", "unlearn"}
    assert "$defs" in schema


def test_explain_tells_the_recipe_and_why(command, write_suite):
    suite = write_suite()
    words = ("explain", "hand/toy-noisy-mean/0", "--suite", suite, "--profile", "smoke")
    assert "never run" in command(*words).stdout
    command("run", suite, "--profile", "smoke")
    told = command(*words).stdout
    assert "on record since" in told
    assert "--only 'hand/toy-noisy-mean/0' --force" in told
    suite.write_text(suite.read_text().replace('kind = "toy"', 'kind = "toy"\nrows = 150'))
    assert "these changed: settings.rows (200 -> 150)" in command(*words).stdout


def test_claims_and_leaderboard_speak_json(command, write_suite):
    suite = write_suite()
    command("run", suite, "--profile", "smoke")
    verdicts = json.loads(command("claims", suite, "--profile", "smoke", "--json").stdout)
    (claims,) = verdicts.values()
    assert (claims[0]["answer"], claims[0]["notes"]) == ("undecided", ["without a result: seed 2"])
    told = json.loads(command("export", suite, "--profile", "smoke", "--format", "json").stdout)
    assert {row["row"] for row in told["rows"]} >= {"toy-noisy-mean"}
    (board,) = json.loads(command("leaderboard", suite, "--profile", "smoke", "--json").stdout).values()
    assert board


def test_claims_of_several_suites_are_counted(command, write_suite):
    first, second = write_suite(), write_suite(name="others")
    for suite in (first, second):
        command("run", suite, "--profile", "smoke")
    told = json.loads(command("claims", first, second, "--profile", "smoke", "--json").stdout)
    assert [(s["suite"], s["seeds"]) for s in told["suites"]] == [
        ("toysuite", {"no look yet": 1}),
        ("others", {"no look yet": 1}),
    ]
    assert "| `all`" in command("claims", first, second, "--profile", "smoke").stdout


def test_leaderboard_writes_the_front_of_the_folder(command, write_suite, tmp_path):
    suite = write_suite()
    ran = command("run", suite, "--profile", "smoke").stdout
    index = tmp_path / "results" / "index.html"
    assert f"wrote {index.relative_to(tmp_path)}" in ran
    found, page, after = ran.splitlines()[-3:]
    assert found.startswith("found: 1 claim: 1 is undecided. First on most boards of their kind: toy-")
    assert page == "page:  results/toysuite/smoke.html (all suites: results/index.html)"
    assert after.startswith(f"next:  python -m bench run {suite} --profile smoke --until-decided --budget 30min")
    of_method = (tmp_path / "results" / "methods" / "toy-noisy-mean.html").read_text(encoding="utf-8")
    assert f"python -m bench run {suite} --profile smoke --only &#39;hand/toy-noisy-mean/0&#39; --force" in of_method
    before = index.read_bytes()
    index.unlink()
    command("leaderboard", suite, "--profile", "smoke")
    assert index.read_bytes() == before
    of_all = command("leaderboard")  # the toy suite does not ship
    assert of_all.returncode == 2
    assert "no records of a shipped suite in results" in of_all.stderr


def test_a_method_of_ten_lines_in_one_file_gets_its_row(command, write_suite, tmp_path):
    plugin = tmp_path / "mine.py"
    plugin.write_text(
        "import torch\n"
        "from bench import method\n\n"
        '@method(family="mine", scenario="toy", access={"labels"}, paper="arXiv:0000.00000", year=2026)\n'
        "def my_guess(task):\n"
        '    """The most frequent class, always."""\n'
        "    best = task.labels.bincount(minlength=task.num_classes).float()\n"
        "    return lambda x: best.expand(len(x), -1)\n"
    )
    suite = write_suite(methods=["my-guess"])
    done = command("run", suite, "--profile", "smoke", "--plugin", plugin)
    assert done.returncode == 0, done.stderr
    assert "my-guess" in (tmp_path / "results" / "toysuite" / "smoke.md").read_text()
    tried = command("test", "my-guess", "--plugin", plugin)
    assert tried.returncode == 0, tried.stdout


def test_until_decided_shows_its_plan_and_says_what_it_does_not_take(command, write_suite):
    suite = write_suite()
    words = ("run", suite, "--profile", "smoke", "--until-decided")
    shown = command(*words, "--dry-run", "--budget", "4h")
    assert shown.stdout.splitlines()[1].startswith("  means: first look at 3 seeds, 6 more cells and models")
    refused = command(*words, "--seeds", "0")
    assert refused.returncode == 2
    assert "leave out --seeds, --only, --shard and --force" in refused.stderr
    assert "no time like 4h" in command(*words, "--budget", "soon").stderr


def test_export_writes_a_file_and_parquet_needs_one(command, tmp_path):
    where = ("export", "digits", "--profile", "smoke", "--results", Path(__file__).parents[3] / "results")
    done = command(*where, "--output", tmp_path / "digits.csv", plugin=False)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "digits.csv").read_text().startswith("suite,profile,scenario")
    done = command(*where, "--format", "parquet", plugin=False)
    assert done.returncode == 2
    assert "--output results.parquet" in done.stderr


def test_shards_and_join_give_the_records_of_one_run(command, write_suite, tmp_path):
    suite = write_suite()
    whole = command("run", suite, "--profile", "smoke", "--results", "whole")
    assert whole.returncode == 0, whole.stderr
    for index in (1, 2):
        done = command("run", suite, "--profile", "smoke", "--shard", f"{index}/2", "--results", f"part{index}")
        assert done.returncode == 0, done.stderr
        assert f"shard: {index}/2, 3 of 6 cells" in done.stdout
        assert not list((tmp_path / f"part{index}").rglob("*.html"))
    joined = command("join", "part1", "part2", "--results", "joined", plugin=False)
    assert joined.returncode == 0, joined.stderr
    assert "6 records added" in joined.stdout

    def numbers(folder):
        records = map(json.loads, (tmp_path / folder / "toysuite" / "smoke.jsonl").read_text().splitlines())
        return sorted((r["key"], r["status"], json.dumps(r["metrics"]), json.dumps(r["examples"])) for r in records)

    assert numbers("joined") == numbers("whole")
    again = command("run", suite, "--profile", "smoke", "--results", "joined")
    assert "0 cells to run, 6 on record" in again.stdout


def test_a_contradiction_shows_in_the_exit_code_of_join(command, write_suite, tmp_path):
    command("run", write_suite(), "--profile", "smoke", "--seeds", "0", "--results", "one")
    assert command("join", "one", "--results", "two", plugin=False).returncode == 0
    assert "the folder that gets the records" in command("join", "one", "--results", "one", plugin=False).stderr
    assert command("join", "nowhere", "--results", "two", plugin=False).returncode == 2
    assert command("run", write_suite(), "--profile", "smoke", "--shard", "3/2").returncode == 2
