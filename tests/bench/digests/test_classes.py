"""Members of a class count each for itself, with all of the class that they can reach."""

import pytest

from bench.digests.walk import FRAME, digest

SETTINGS = """
from pack.helpers import double, never_called
from pack.kernels import SCALE


class Base:
    def own(self):
        return SCALE


class Kind(Base):
    rows: int = 3

    def prepare(self, lab):
        return double(self.rows)

    def score(self, result):
        return never_called(result) + self.own()

    def longer(self, lab):
        return super().own()
"""


@pytest.mark.parametrize(
    ("change", "moves"),
    [
        (("helpers", "2 * x", "5 * x"), {"prepare"}),
        (("helpers", "3 * x", "5 * x"), {"score"}),
        (("kernels", "3.0", "5.0"), {"score", "longer", FRAME}),  # inherited
        (("settings", "rows: int = 3", "rows: int = 4"), {"prepare", FRAME}),
    ],
)
def test_members_of_a_class_count_each_for_itself(tree, change, moves):
    tree.files = {**tree.files, "settings.py": SETTINGS}
    names = ("prepare", "score", FRAME, "longer")
    before = {name: _member(tree, name) for name in names}
    after = {name: _member(tree, name, **{change[0]: tree.edited(*change)}) for name in names}
    moved = {name for name in names if before[name] != after[name]}
    # What calls super may reach whatever the class overrides, so all of the class counts for it.
    assert moves <= moved <= moves | {"longer"}


def _member(tree, name, **change):
    tree.of(**change)
    return digest((("pack.settings", f"Kind.{name}"),)).value


IN_CLASS = {
    "handed to a function": "def p(self):\n        return made(self)",
    "another name for self": "def p(this):\n        return this.helper()",
    "its type": "def p(self):\n        return type(self).helper(self)",
    "default that the class holds": "own = g(1)\n    def p(self, n=own):\n        return n",
    "written over": "def q(self):\n        return g(1)\n    q = cached(q)\n    def p(self):\n        return self.q()",
    "two of one name": """@property
    def q(self):
        return g(1)
    @q.setter
    def q(self, to):
        pass
    def p(self):
        return self.q""",
}


@pytest.mark.parametrize("how", IN_CLASS)
def test_a_member_stands_on_all_of_its_class_that_it_can_reach(tree, how):
    text = f"from pack.aid import g\nclass K:\n    def helper(self):\n        return g(1)\n    {IN_CLASS[how]}\n"
    assert tree.moves(text, "pack.method:K.p")


@pytest.mark.parametrize("base", ["Base", "base.Base", "Base[int]", "Other"])
def test_a_method_of_a_base_reaches_what_the_class_overrides(tree, base):
    text = (
        f"from pack.aid import g\nfrom pack import base\nfrom pack.base import Base\nOther = Base\nclass K({base}):\n"
    )
    above = {"base.py": "class Base:\n    def p(self):\n        return self.helper()\n"}
    assert tree.moves(f"{text}    def helper(self):\n        return g(1)\n", "pack.method:K.p", **above)


def test_members_are_looked_up_in_the_order_of_python(tree):
    above = "class A:\n    p = 1\nclass B(A):\n    pass\nclass C(A):\n    p = g(1)\n"
    text = f"from pack.aid import g\n{above}class K(B, C):\n    pass\n"
    assert tree.moves(text, "pack.method:K.p")


@pytest.mark.parametrize(
    "method",
    [
        "def model_post_init(self, context):\n        self.x = g(1)",
        "def __getattr__(self, name):\n        return g(1)",
        "@model_validator(mode='after')\n    def check(self):\n        return self.helper()",
        "@computed_field\n    def found(self):\n        return g(1)",
    ],
)
def test_what_a_class_does_unasked_is_of_its_frame(tree, method):
    text = f"from pack.aid import g\nclass K:\n    {method}\n    def helper(self):\n        return g(1)\n"
    assert tree.moves(text, f"pack.method:K.{FRAME}")


def test_a_method_in_a_class_in_a_class_counts_with_it(tree):
    text = "from pack.aid import g\nclass K:\n    class Inner:\n        def p(self):\n            return g(1)\n"
    assert tree.moves(text, "pack.method:K.Inner.p")
