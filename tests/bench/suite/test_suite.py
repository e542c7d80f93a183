"""Suites: every fault is told with file, table and key, and what would be right."""

import re
import tomllib

import jsonschema
import pytest

from bench.errors import SuiteError
from bench.suite import suite as suites
from bench.suite.checking import check
from bench.suite.json_schema import json_schema

pytestmark = pytest.mark.usefixtures("toy")


def test_references_come_first_and_the_upper_last(write_suite):
    loaded = suites.load(write_suite(), "smoke")
    rows = [row.label for row in loaded.scenarios["hand"].rows]
    assert rows == ["toy-constant", "toy-noisy-mean", "toy-nearest-mean"]
    assert loaded.seeds == (0, 1)
    assert loaded.scenarios["hand"].settings.rows == 200


def test_parameters_are_resolved_with_their_defaults(write_suite):
    path = write_suite(text=TEXT.replace("METHODS", "[{ method = 'toy-nearest-mean', label = 'half', shrink = 0.5 }]"))
    rows = {row.label: row for row in suites.load(path, "smoke").scenarios["hand"].rows}
    assert rows["half"].params == {"shrink": 0.5}
    assert rows["toy-nearest-mean"].params == {"shrink": 0.0}


def test_a_profile_overrides_key_by_key_and_extends_another(write_suite):
    more = """
[profiles.cpu]
extends = "smoke"
seeds = [5]
scenarios.hand.rows = 300
[profiles.gpu]
extends = "cpu"
precision = "bf16"
"""
    gpu = suites.load(write_suite(more=more), "gpu")
    assert (gpu.seeds, gpu.precision, gpu.scenarios["hand"].settings.rows) == ((5,), "bf16", 300)
    assert suites.load(write_suite(more=more), "smoke").scenarios["hand"].settings.rows == 200


MORE_DATA = """
[datasets.small]
name = "digits"
train = 300
[scenarios.eyes]
kind = "toy"
data = "small"
[profiles.cpu.datasets.small]
train = 500
[profiles.gpu.scenarios.eyes]
data = "large"
"""


def test_a_scenario_chooses_its_data_set_and_a_profile_overrides_it(write_suite):
    path = write_suite(more=MORE_DATA)
    smoke, cpu = suites.load(path, "smoke"), suites.load(path, "cpu")
    assert smoke.data_of(smoke.scenarios["hand"]) == smoke.data
    assert smoke.data_of(smoke.scenarios["eyes"]).train == 300
    assert cpu.data_of(cpu.scenarios["eyes"]).train == 500
    with pytest.raises(SuiteError, match=r"\[scenarios.eyes\] data = 'large' is no \[datasets.NAME\] .* small"):
        suites.load(path, "gpu")


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        (
            'data = "small"',
            'data = "smal"',
            r"data = 'smal' is no \[datasets.NAME\] of the suite; did you mean 'small'",
        ),
        ('data = "small"', "data = 3", r"\[scenarios.eyes\] data: .*valid string, got 3"),
        ("train = 300", "trian = 300", r"\[datasets.small\] unknown key 'trian'; did you mean 'train'"),
        ('[datasets.small]\nname = "digits"', "[datasets.small]", r"\[datasets.small\] key 'name' is missing"),
        ("[datasets.small]", "[dataset.small]", r"unknown key 'dataset'; did you mean 'datasets'"),
    ],
)
def test_a_fault_of_a_further_data_set_is_told(write_suite, old, new, told):
    path = write_suite(more=MORE_DATA)
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(SuiteError, match=told):
        suites.load(path, "smoke")


def test_check_knows_the_data_sets_that_there_are(write_suite):
    path = write_suite(more=MORE_DATA.replace('name = "digits"', 'name = "digitz"').replace('"large"', '"small"'))
    with pytest.raises(SuiteError, match=r"\[datasets.small\] unknown data set 'digitz'; did you mean 'digits'"):
        check(path)


def test_profiles_are_named_and_there_must_be_one(write_suite):
    assert suites.profiles(write_suite(more=MORE_DATA)) == ("smoke", "cpu", "gpu")
    with pytest.raises(SuiteError, match=r"toysuite.toml: no \[profiles.NAME\] table"):
        suites.profiles(write_suite(text=TEXT.replace("METHODS", "[]").replace("[profiles.smoke]", "")))


TEXT = """
title = "Toy"
[data]
name = "digits"
[scenarios.hand]
kind = "toy"
methods = METHODS
[profiles.smoke]
"""


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("seeds =", "seedz =", r"toysuite\.toml \(profile smoke\): unknown key 'seedz'; did you mean 'seeds'"),
        ('kind = "toy"', 'kind = "tay"', r"\[scenarios\.hand\] unknown scenario kind 'tay'; did you mean 'toy'"),
        ('kind = "toy"', "", r"\[scenarios\.hand\] needs a kind; there are .*toy"),
        ('kind = "toy"', 'kind = "toy"\nrowz = 3', r"\[scenarios\.hand\] unknown key 'rowz'; did you mean 'rows'"),
        ('kind = "toy"', 'kind = "toy"\nmethodz = 3', r"unknown key 'methodz'; did you mean 'methods'"),
        ('kind = "toy"', 'kind = "toy"\nrows = -1', r"\[scenarios\.hand\] rows: .*greater than or equal to 1.*got -1"),
        ('kind = "toy"', 'kind = "toy"\nrows = "all"', r"rows: .*valid integer.*got 'all'"),
        ('kind = "toy"', 'kind = "toy"\nmax_seconds = 0', r"\[scenarios.hand\] max_seconds: .*greater than 0, got 0"),
        ('["toy-noisy-mean"]', '["toy-noisy-men"]', r"unknown method 'toy-noisy-men'; did you mean 'toy-noisy-mean'"),
        ('["toy-noisy-mean"]', '["kd"]', r"method 'kd' solves .*, not toy"),
        ('["toy-noisy-mean"]', '["toy-skips", "toy-skips"]', r"two rows are named 'toy-skips'"),
        ('["toy-noisy-mean"]', "[3]", r"a row is a method's name or a table with `method`, got 3"),
        ('["toy-noisy-mean"]', "3", r"methods: .*a list, got 3"),
        (
            '["toy-noisy-mean"]',
            '[{ method = "toy-nearest-mean", label = "x", shrinc = 0.1 }]',
            r"\[scenarios\.hand\.methods\.x\] unknown key 'shrinc'; did you mean 'shrink'",
        ),
        (
            '["toy-noisy-mean"]',
            '[{ method = "toy-nearest-mean", label = "x", shrink = 1.5 }]',
            r"shrink: .*less than or equal to 1.*got 1\.5",
        ),
        ("seeds = [0, 1]", "seeds = [0, 0]", r"seeds must be one or more different numbers"),
        ("seeds = [0, 1]", "seeds = []", r"seeds must be one or more different numbers"),
        ('name = "digits"', 'name = "digits"\ntrain = -5', r"\[data\] train: .*greater than or equal to 1"),
        ("[data]\nname", "[dada]\nname", r"unknown key 'dada'; did you mean 'data'"),
        (
            'better = "toy-nearest-mean"',
            'better = "toy-nearest"',
            r"\[claims.means\] names row 'toy-nearest' of hand; did you",
        ),
        ('scenario = "hand"', 'scenario = "hands"', r"\[claims.means\] names scenario 'hands'; did you mean 'hand'"),
        ('says = "A', 'sayz = "A', r"\[claims.means\] unknown key 'sayz'; did you mean 'says'"),
        ("[profiles.smoke]", "[profiles.smok]", r"no profile 'smoke'; did you mean 'smok'"),
        ("[profiles.smoke]", "", r"has no profile, .* add the line \[profiles\.smoke\]"),
        ("[profiles.smoke]", '[profiles.smoke]\nextends = "cpu"', r"extends = 'cpu'"),
        (
            "[profiles.smoke]",
            '[profiles.smoke]\nextends = "cpu"\n[profiles.cpu]\nextends = "smoke"',
            r"\[profiles\] extends runs in a cycle: smoke -> cpu -> smoke",
        ),
        (
            "[profiles.smoke]",
            '[models.a]\narch = "mlp"\ninit = "b"\n[models.b]\narch = "mlp"\ninit = "a"\n[profiles.smoke]',
            r"\[models\] init runs in a cycle: a -> b -> a",
        ),
        ("[data]", "[data]\n[data]", r"not valid TOML"),
    ],
)
def test_a_fault_is_told(write_suite, old, new, told):
    path = write_suite()
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(SuiteError, match=told):
        suites.load(path, "smoke")


def test_all_faults_of_a_table_are_told_at_once(write_suite):
    path = write_suite()
    path.write_text(path.read_text().replace('name = "digits"', 'nam = "digits"\ntrain = 0'))
    with pytest.raises(SuiteError, match=r"unknown key 'nam'[^\0]*") as told:
        suites.load(path, "smoke")
    assert "'name' is missing" in str(told.value)
    assert "train:" in str(told.value)


def test_a_missing_suite_suggests_the_near_one():
    with pytest.raises(SuiteError, match="did you mean 'digits'"):
        suites.find("digit")
    with pytest.raises(SuiteError, match=r"nowhere\.toml: no such suite file"):
        suites.find("nowhere.toml")


def test_shipped_suites_are_found_by_name():
    assert suites.find("digits").name == "digits.toml"


@pytest.mark.parametrize("name", ["a/b", "..", "a@b", "", "a\\nb", "<img src=x>", "x" * 65])
@pytest.mark.parametrize("table", ["profiles", "scenarios", "models", "datasets"])
def test_names_of_tables_are_names(write_suite, table, name):
    path = write_suite(more=f'\n[{table}."{name}"]\n')
    with pytest.raises(
        SuiteError, match=rf"toysuite.toml.*: \[{table}.NAME\] .*: a name has 1 to 64 of the characters"
    ):
        suites.load(path, "smoke")


@pytest.mark.parametrize("stem", ["a@b", "a b", "é", "-a", ".a"])
def test_a_suite_has_the_name_of_its_file(write_suite, stem):
    path = write_suite(name=stem)
    with pytest.raises(SuiteError, match=r"the suite is named after its file, and .*: a name has"):
        suites.load(path, "smoke")


def test_a_label_may_be_of_any_language_and_claims_find_it(write_suite):
    path = write_suite()
    text = path.read_text(encoding="utf-8").replace(
        '["toy-noisy-mean"]', "[{ method = 'toy-noisy-mean', label = 'm\\u00fc' }]"
    )
    path.write_text(
        text.replace("'m\\u00fc'", '"m\\u00fc"').replace('worse = "toy-constant"', 'worse = "mu\\u0308"'),
        encoding="utf-8",
    )
    loaded = suites.load(path, "smoke")
    assert loaded.claims[0].worse == loaded.scenarios["hand"].rows[1].label == "m\u00fc"


WRONG = ["true", "nan", "inf", "2024-01-01", "[1]", "[[1]]", "{ a = 1 }", '"text"', "-1", "0.5", "10000000000000"]
NO_LIST = [value for value in WRONG if value != "[1]"]
TEXTS = ["3", "true", "nan", "2024-01-01", "['a']", "{ a = 1 }"]


CASES = [
    ("title = 'Toy'", "title", TEXTS),
    (
        "title = 'Toy'",
        "seeds",
        [*NO_LIST, "[true]", "[-1]", "[0.0]", "['0']", "[nan]", "[4294967296]", "[[0]]", "[1, 1]"],
    ),
    ("title = 'Toy'", "threads", [*WRONG, "0", "100000"]),
    ("title = 'Toy'", "max_seconds", [w for w in WRONG if w != "0.5"]),
    ("title = 'Toy'", "precision", [*TEXTS, '"fp8"']),
    ('kind = "toy"', "rows", WRONG),
    ('kind = "toy"', "max_seconds", [w for w in WRONG if w != "0.5"]),
    ('kind = "toy"', "trials", WRONG),
    ('kind = "toy"', "extends", [*TEXTS, '"nobody"', '"hand"', '""']),
    ('kind = "toy"', "data", [*TEXTS, '"nobody"', '""']),
    ('kind = "toy"', "title", TEXTS),
    ('kind = "toy"', "lower", [*TEXTS, '"nobody"', '""', '"toy-nearest-mean"']),
    ('kind = "toy"', "upper", [*TEXTS, '"nobody"', '""', '"toy-constant"']),
    ('name = "digits"', "train", WRONG),
    ('name = "digits"', "offline", TEXTS),
    ("[profiles.smoke]", "extends", [*TEXTS, '"nobody"', '"smoke"', '""']),
    ("[profiles.smoke]", "seeds", [*NO_LIST, "[true]"]),
    ("[profiles.smoke]", "data", [v for v in WRONG if v != "{ a = 1 }"]),
    ("[profiles.smoke]", "data", ["{ a = 1 }"]),
    ("[profiles.smoke]", "scenarios", WRONG),
    ("[profiles.smoke]", "scenarios.hand", WRONG),
    ("[profiles.smoke]", "scenarios.hand.rows", WRONG),
    ("[profiles.smoke]", "scenarios.hand.max_seconds", ["nan", "inf", "-inf", "true", "0"]),
    ("[profiles.smoke]", "scenarios.hand.extends", TEXTS),
    ("[profiles.smoke]", "models", WRONG),
    ("[profiles.smoke]", "profiles", [*WRONG, "{}"]),
    ("[profiles.smoke]", "models = { m = { arch = 'mlp', weights = VALUE } } #", [*TEXTS, '""', '"\\u0000"']),
    ("[profiles.smoke]", "recipe", WRONG),
    ("[profiles.smoke]", "recipe.epochs", WRONG),
    ("[profiles.smoke]", "recipe.peak_lr", ["nan", "inf", "-1", "1e30", "true", '"0.1"']),
    ("[profiles.smoke]", "claims", [*WRONG, "[[]]", "['a']"]),
    ("[profiles.smoke]", "scenarios.hand.kind", [*TEXTS, '"tay"']),
    (
        "[profiles.smoke]",
        "scenarios.hand.methods",
        ["3", '"toy-skips"', "[[]]", "[{}]", "[2024-01-01]", "{ a = 1 }"],
    ),
    *(
        (
            "[profiles.smoke]",
            f"scenarios.hand.methods = [{{ method = 'toy-nearest-mean', {key} = VALUE }}] #",
            values,
        )
        for key, values in (("label", [*TEXTS, '""', '"a|b"']), ("search", WRONG), ("shrink", WRONG[:7]))
    ),
    ("[profiles.smoke]", "scenarios.hand.methods = [{ method = VALUE, label = 'x' }] #", TEXTS),
]
"""(line after which a key is put, the key, values that it cannot have)."""


@pytest.mark.parametrize(("after", "key", "values"), CASES)
def test_no_wrong_value_is_more_than_a_message(write_suite, after, key, values):
    for value in values:
        path = write_suite(text=with_key(after, key, value))
        with pytest.raises(SuiteError, match=r"toysuite\.toml") as told:
            suites.load(path, "smoke")
        assert "not valid TOML" not in str(told.value), (key, value, told.value)


def with_key(after: str, key: str, value: str) -> str:
    line = key.replace("VALUE", value) if "VALUE" in key else f"{key} = {value}"
    return PLAIN.replace(after, line if after.startswith(key) else f"{after}\n{line}")


def told_by_the_reader_only(key: str, value: str) -> bool:
    """What no JSON Schema can tell: numbers that are none, 0.0 from 0, what other tables hold."""
    names = {"data": '"nobody"', "extends": '"nobody" "hand" "smoke"', "lower": '"nobody" "toy-nearest-mean"'}
    names["upper"] = '"nobody" "toy-constant"'
    return value in ("nan", "inf", "-inf", "[0.0]") or value in names.get(key, "").split()


@pytest.mark.parametrize(("after", "key", "values"), [case for case in CASES if case[0] != "[profiles.smoke]"])
def test_the_schema_refuses_what_the_reader_refuses(toy, after, key, values):
    validator = jsonschema.Draft202012Validator(json_schema())
    for value in values:
        if not told_by_the_reader_only(key, value):
            assert not validator.is_valid(tomllib.loads(with_key(after, key, value))), (key, value)


PLAIN = """
title = 'Toy'
[data]
name = "digits"
[scenarios.hand]
kind = "toy"
[profiles.smoke]
"""


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (PLAIN.replace("Toy", "T\xf6y").encode("latin-1"), r"not UTF-8 text \(byte 0xf6 at 11\); save it as UTF-8"),
        (PLAIN.encode("utf-16"), "not UTF-8 text"),
        (("x = " + "9" * 5000 + PLAIN).encode(), "not valid TOML"),
        (("x = " + "[" * 5000 + PLAIN).encode(), "not valid TOML"),
        (b"\x00", "not valid TOML"),
    ],
)
def test_a_file_that_is_no_text_is_refused(write_suite, content, told):
    path = write_suite()
    path.write_bytes(content)
    with pytest.raises(SuiteError, match=told):
        suites.load(path, "smoke")


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + PLAIN.encode(), PLAIN.replace("\n", "\r\n").encode()])
def test_a_byte_order_mark_and_other_line_ends_are_passed_over(write_suite, content):
    path = write_suite()
    path.write_bytes(content)
    assert suites.load(path, "smoke").title == "Toy"


def test_a_path_that_no_file_can_have_is_told():
    for name in ("a" * 300 + ".toml", "a\0.toml"):
        with pytest.raises(SuiteError, match="no such suite file"):
            suites.find(name)


@pytest.mark.parametrize("table", ["scenarios", "models", "datasets"])
def test_a_profile_adds_nothing(write_suite, table):
    path = write_suite(more=f'[models.net]\narch = "mlp"\n[profiles.cpu.{table}.hant]\ndata = "x"\n')
    with pytest.raises(SuiteError, match=rf"\[profiles.cpu\] overrides {table}.'hant', which is not there"):
        suites.load(path, "cpu")


def test_a_row_is_no_reference_by_its_label_alone(write_suite):
    path = write_suite(methods=[])
    plain = path.read_text()
    path.write_text(plain.replace("[]", "[{ method = 'toy-skips', label = 'toy-constant' }]"))
    with pytest.raises(SuiteError, match=r"a row of 'toy-skips' is labelled 'toy-constant', like the reference"):
        suites.load(path, "smoke")
    path.write_text(plain.replace("[]", "[{ method = 'toy-nearest-mean', shrink = 0.5 }]"))
    assert suites.load(path, "smoke").scenarios["hand"].rows[-1].params == {"shrink": 0.5}


def test_a_labelled_row_may_be_a_reference_where_the_suite_says_so(write_suite):
    path = write_suite(methods=[])
    path.write_text(path.read_text().replace("[]", "[{ method = 'toy-skips', label = 'low' }]\nlower = 'low'", 1))
    with pytest.raises(SuiteError, match=r"names row 'toy-constant'"):
        suites.load(path, "smoke")


def test_a_claim_compares_two_rows(write_suite):
    path = write_suite()
    path.write_text(path.read_text().replace('worse = "toy-constant"', 'worse = "toy-nearest-mean"'))
    with pytest.raises(SuiteError, match=r"\[claims.means\] holds row 'toy-nearest-mean' against itself"):
        suites.load(path, "smoke")


def test_looks_that_have_no_published_levels_are_refused(write_suite):
    path = write_suite()
    assert suites.load(path, "smoke").looks == (3, 6, 12)
    assert suites.load(path, "smoke").seeds_in_order(4) == (0, 1, 2, 3)
    path.write_text("looks = [3, 6, 12, 24]\n" + path.read_text().replace("seeds = [0, 1]", "seeds = [7, 1]"))
    suite = suites.load(path, "smoke")
    assert (suite.looks, suite.seeds_in_order(5)) == ((3, 6, 12, 24), (7, 1, 0, 2, 3))
    for looks in ("[2, 4]", "[]"):
        path.write_text(re.sub("looks = .*", f"looks = {looks}", path.read_text()))
        with pytest.raises(SuiteError, match=rf"looks {re.escape(looks)} have no published .*; declare \[3, 6, 12\]"):
            suites.load(path, "smoke")
