"""Names are part of paths, patterns and tables; labels are what people read: each has one rule."""

import pytest

from bench import registry
from bench.errors import BenchError
from bench.types import check_label, check_name

NO_NAMES = [
    *(
        "",
        ".",
        "..",
        ".hidden",
        "a/b",
        "a\\b",
        "../up",
        "a@b",
        "a+b",
        "a b",
        " a",
        "a\n",
        "a\nb",
        "a\x00b",
        "a\x1b[31m",
    ),
    *(
        "-a",
        "a.",
        "a|b",
        "a`b",
        "<b>",
        "[x](y)",
        "*",
        "a?",
        "=1",
        "é",
        "模型",
        "a" * 65,
        "con",
        "NUL.txt",
        "COM1",
        "${HOME}",
    ),
]


@pytest.mark.parametrize("name", NO_NAMES)
def test_what_could_be_more_than_a_name_is_none(name):
    with pytest.raises(ValueError, match=r"a name (has 1 to 64|that Windows keeps)"):
        check_name(name)


@pytest.mark.parametrize("name", ["a", "cifar-class-swept", "v1.2", "ViT_b16", "0", "a" * 64, "console"])
def test_plain_names_are_names(name):
    assert check_name(name) == name


@pytest.mark.parametrize(
    "label",
    [
        *("", " ", " a", "a ", "a\nb", "a\tb", "a\rb", "a\u2028b", "a\u202eb", "a\u200bb", "a\x1b[31mb", "a\x00"),
        *("a/b", "a\\b", "a|b", "a`b", "<b>", "[x](y)", "a*", "a?", "it's", 'a"b', "$x", "a" * 101, "\u0301a"),
        *("=1+1", "+1", "-1", "@x", "＝1", ".a", "&amp;", "\ud800"),
    ],
)
def test_what_breaks_a_table_is_no_label(label):
    with pytest.raises(ValueError, match="printable characters of any language"):
        check_label(label)


@pytest.mark.parametrize("label", ["ünï→模型", "transport (acts)", "ties (λ = 0.3, 50 %)", "a@b: c+d=e", "مدل"])
def test_letters_of_any_language_are_a_label(label):
    assert check_label(label) == label


def test_a_label_is_one_label_however_its_accents_are_written():
    assert check_label("u\u0308") == check_label("\u00fc") == "\u00fc"


def test_methods_have_names_too():
    with pytest.raises(BenchError, match=r"method 'a\|b' of .*a name has 1 to 64"):
        registry.method(family="toy", scenario="toy", name="a|b")(lambda task: task)
