"""Claims: one text for several boards, whose paper it is, and what is wrong with one."""

import pytest

from bench.errors import SuiteError
from bench.suite import suite as suites
from bench.suite.checking import check

pytestmark = pytest.mark.usefixtures("toy")

SUITE = """
title = "Toy"
[data]
name = "digits"
[scenarios.hand]
kind = "toy"
about = "all rows"
[scenarios.few]
extends = "hand"
about = "few rows"
rows = 50
[claims.means]
paper = "folklore"
says = "A mean beats a constant ({about})"
scenarios = ["hand", "few"]
compare = { better = "toy-nearest-mean", worse = "toy-constant", margin = 0.1 }
[profiles.smoke]
"""


def claims(path):
    return {claim.id: claim for claim in suites.load(path, "smoke").claims}


def test_a_claim_is_made_on_each_board_that_it_names(write_suite):
    found = claims(write_suite(text=SUITE))
    assert list(found) == ["means-hand", "means-few"]
    assert found["means-few"].says == "A mean beats a constant (few rows)"
    assert {(c.paper, c.better, c.worse, c.margin) for c in found.values()} == {
        ("folklore", "toy-nearest-mean", "toy-constant", 0.1)
    }
    assert [claim.scenario for claim in found.values()] == ["hand", "few"]


def test_the_ids_may_be_stated(write_suite):
    text = SUITE.replace('["hand", "few"]', '{ hand = "", few = "50" }')
    assert list(claims(write_suite(text=text))) == ["means", "means-50"]
    text = SUITE.replace('scenarios = ["hand", "few"]', 'scenario = "few"')
    assert claims(write_suite(text=text))["means"].says == "A mean beats a constant (few rows)"


def test_a_claim_is_of_the_better_methods_paper_unless_it_says_otherwise(write_suite):
    text = """
title = "t"
[data]
name = "digits"
[models.m]
arch = "mlp"
[scenarios.f]
kind = "fuse"
model = "m"
methods = [{ method = "ot-fusion", label = "mine" }]
[claims.c]
says = "s"
scenario = "f"
compare = { better = "mine", worse = "average" }
[profiles.smoke]
"""
    assert claims(write_suite(text=text))["c"].paper == "arXiv:1910.05653"
    with pytest.raises(SuiteError, match=r"\[claims.means\] needs a paper; method 'toy-nearest-mean', .* names none"):
        claims(write_suite(text=SUITE.replace('paper = "folklore"\n', "")))


def test_a_board_that_sweeps_takes_claims_of_the_board_of_defaults(write_suite):
    swept = """
[scenarios.swept]
extends = "few"
trials = 2
methods = [{ method = "toy-nearest-mean", label = "mean", search = { shrink = [0.1, 0.2] } }]
"""
    text = SUITE.replace("[claims.means]", swept + '[claims.means]\nswept = "A mean beats a constant, swept ({about})"')
    found = claims(write_suite(text=text))
    assert list(found) == ["means-hand", "means-few", "means-few-swept"]
    assert found["means-few-swept"].says == "A mean beats a constant, swept (few rows)"
    assert found["means-few-swept"].scenario == "swept"
    with pytest.raises(SuiteError, match=r"\[claims.means\] .* no scenario with trials extends hand, few"):
        claims(write_suite(text=text.replace('extends = "few"\ntrials', 'kind = "toy"\ntrials')))


OTHER = """
title = "Others"
claims_of = "toysuite.toml"
[data]
name = "digits"
[scenarios.hand]
kind = "toy"
about = "all others"
[scenarios.few]
kind = "toy"
about = "few others"
[claims.more]
paper = "p"
says = "s"
scenario = "few"
compare = { better = "toy-nearest-mean", worse = "toy-constant" }
[profiles.smoke]
"""


def test_a_suite_makes_the_claims_of_another_on_boards_of_the_same_names(write_suite):
    write_suite(text=SUITE)
    found = claims(write_suite(text=OTHER, name="others"))
    assert list(found) == ["means-hand", "means-few", "more"]
    assert found["means-few"].says == "A mean beats a constant (few others)"


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("toysuite.toml", "toysweet.toml", "claims_of: .*toysweet.toml: no such suite file"),
        ("toysuite.toml", "digit", "claims_of: no suite 'digit'; did you mean 'digits'"),
        ("scenarios.few", "scenarios.fw", r"claims of .*toysuite.toml: \[claims.means\] names scenario 'few'; did you"),
        ("[claims.more]", "[claims.means-few]", "claim 'means-few' is one of .*toysuite.toml as well"),
    ],
)
def test_a_fault_of_claims_of_another_suite_is_told(write_suite, old, new, told):
    write_suite(text=SUITE)
    with pytest.raises(SuiteError, match=told):
        claims(write_suite(text=OTHER.replace(old, new), name="others"))


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('"few"]', '"fw"]', r"\[claims.means\] names scenario 'fw'; did you mean 'few'"),
        ('"few"]', '"hand"]', r"\[claims.means\] scenarios: a scenario is named twice"),
        ('scenarios = ["hand", "few"]', "scenarios = []", r"\[claims.means\] say scenario = \"NAME\", or scenarios"),
        ('scenarios = ["hand", "few"]', "", r"\[claims.means\] say scenario = \"NAME\", or scenarios"),
        ("scenarios = [", 'scenario = "hand"\nscenarios = [', r"\[claims.means\] say scenario = \"NAME\""),
        ("margin", "margn", r"\[claims.means.compare\] unknown key 'margn'; did you mean 'margin'"),
        ("says =", 'better = "x"\nsays =', r"\[claims.means\] unknown key 'better'"),
        ('about = "few rows"\n', "", r"says {about}, and \[scenarios.few\] has no `about`"),
        ('about = "all rows"', "", r"says {about}, and \[scenarios.hand\] has no `about`"),
        ("[claims.means]", '[claims."a|b"]', r"\[claims.a\|b\] cannot be an id: a label has"),
        ("[claims.means]", "[[claims]]", r"claims are tables \[claims.ID\] now, .* see docs/contracts.md"),
        ('"few"]', '"few"]\n[claims.means-hand]\nsays = "s"\nscenario = "hand"\npaper = "p"', "two claims have the id"),
    ],
)
def test_a_fault_is_told(write_suite, old, new, told):
    text = SUITE.replace(old, new, 1)
    if "means-hand" in new:  # the comparison goes to the second table; the first gets one of its own
        text = text.replace('says = "A', 'compare = { better = "toy-nearest-mean", worse = "toy-constant" }\nsays = "A')
    with pytest.raises(SuiteError, match=told):
        claims(write_suite(text=text))


def test_a_profile_overrides_a_claim_key_by_key(write_suite):
    path = write_suite(text=SUITE, more="claims.means.compare.margin = 0.2\n")
    assert {claim.margin for claim in claims(path).values()} == {0.2}
    with pytest.raises(SuiteError, match=r"overrides claims.'mean', which is not there; did you mean 'means'"):
        claims(write_suite(text=SUITE, more="claims.mean.compare.margin = 0.2\n"))


ABLATION = SUITE.replace(
    "[claims.means]",
    """[[scenarios.hand.methods]]
method = "toy-nearest-mean"
label = "shrunk"
shrink = 0.5
[claims.shrinking]
paper = "folklore"
says = "Shrinking helps"
scenario = "hand"
ablates = ["shrink"]
compare = { better = "shrunk", worse = "toy-nearest-mean" }
[claims.means]""",
)


def test_what_a_claim_requires_and_calls_equal_stands_on_each_of_its_boards(write_suite):
    more = """equal_within = 0.02
requires = { row = "toy-constant", metric = "nll", at_least = 1.0 }
effort = { of = "shrink", paper = 0.5, at_least = 0.1 }
says = "A mean"""
    found = claims(write_suite(text=SUITE.replace('says = "A mean', more)))
    assert {c.equal_within for c in found.values()} == {0.02}
    assert {(c.requires.row, c.effort.of) for c in found.values()} == {("toy-constant", "shrink")}


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ('["shrink"]', '["shrimk"]', "ablates 'shrimk', no parameter of toy-nearest-mean; did you mean 'shrink'"),
        ('better = "shrunk", worse', 'better = "toy-constant", worse', "its rows are of two methods"),
        ("shrink = 0.5", "shrink = 0.0", "ablates shrink, and its rows are equal in that"),
        ("says = ", 'requires = { row = "gone", at_least = 1 }\nsays = ', "names row 'gone' of hand"),
        ("says = ", 'requires = { row = "shrunk" }\nsays = ', "'at_least' is missing"),
        (
            "says = ",
            'effort = { row = "toy-constant", of = "shrink", paper = 1, at_least = 0.5 }\nsays = ',
            "asks for an effort of row 'toy-constant', which it does not compare; say shrunk or toy-nearest-mean",
        ),
    ],
)
def test_a_claim_that_cannot_be_meant_so_is_refused(write_suite, old, new, told):
    assert "shrinking" in claims(write_suite(text=ABLATION))
    with pytest.raises(SuiteError, match=told):
        claims(write_suite(text=ABLATION.replace(old, new, 1)))


def test_a_board_is_the_setting_of_papers_whose_claims_are_made_there(write_suite):
    named = SUITE.replace('about = "few rows"', 'about = "few rows"\nsetting_of = ["folklore"]')
    assert suites.load(write_suite(text=named), "smoke").scenarios["few"].setting_of == ("folklore",)
    told = r"\[scenarios.few\] is the setting of 'folkore', which no claim on it cites; did you mean 'folklore'"
    with pytest.raises(SuiteError, match=told):
        suites.load(write_suite(text=named.replace('["folklore"]', '["folkore"]')), "smoke")


TOTALS = """
title = "t"
[data]
name = "digits"
[models.m]
arch = "resnet8"
[scenarios.d]
kind = "datafree"
teacher = "m"
student = "m"
methods = ["cmi", "fast-dfkd"]
[claims.tenth]
says = "s"
scenario = "d"
compare = { better = "fast-dfkd", worse = "cmi", metric = "synthesis_seconds", times = 0.1 }
[profiles.smoke]
"""


def test_a_ratio_of_totals_over_as_many_images_as_each_row_makes_is_refused(write_suite):
    told = r"\[claims.tenth\] compares synthesis_seconds with 0.1 times .* compare synthesis_seconds_per_image"
    with pytest.raises(SuiteError, match=told):
        claims(write_suite(text=TOTALS))
    each = TOTALS.replace("synthesis_seconds", "synthesis_seconds_per_image")
    assert claims(write_suite(text=each))["tenth"].times == 0.1
    assert claims(write_suite(text=TOTALS.replace(", times = 0.1", "")))["tenth"].metric == "synthesis_seconds"


def test_a_row_that_differs_in_more_than_a_claim_ablates_is_refused(write_suite):
    swept = 'label = "shrunk"\nshrink = 0.5\nsearch = { shrink = [0.1, 0.2] }'
    text = ABLATION.replace('label = "shrunk"\nshrink = 0.5', swept).replace("kind =", "trials = 2\nkind =", 1)
    with pytest.raises(SuiteError, match=r"ablates shrink, and its rows differ in search.shrink as well"):
        claims(write_suite(text=text))


@pytest.mark.parametrize(
    ("key", "told"),
    [
        (
            'requires = { row = "toy-constant", metric = "nlll", at_least = 1 }',
            "requires.metric: unknown metric 'nlll'",
        ),
        ('effort = { of = "step", paper = 1, at_least = 0.1 }', "effort.of: 'step' is no metric or cost of toy"),
        ('effort = { of = "rows", paper = 1, at_least = 0.1 }', "no setting of hand; there are .*board.rows"),
    ],
)
def test_check_knows_what_a_claim_requires(write_suite, key, told):
    with pytest.raises(SuiteError, match=told):
        check(write_suite(text=SUITE.replace("says = ", f"{key}\nsays = ", 1)))
