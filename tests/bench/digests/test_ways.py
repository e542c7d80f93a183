"""Every way from a definition to another is followed: imports of all kinds, tables, packages."""

import pytest

IN_MODULE = {
    "tried import": "try:\n    from nowhere import g\nexcept ImportError:\n    from pack.aid import g\n",
    "tried import, first": "try:\n    from pack.aid import g\nexcept ImportError:\n    g = None\n",
    "import under a condition": "if FAST:\n    from pack.aid import g\nelse:\n    from pack.aid import h as g\n",
    "definition, then import": "def g(x):\n    return x\nfrom pack.aid import g\n",
    "import, then wrapped": "from pack.aid import g\ng = jit(g)\n",
    "all names of a module": "from pack.aid import *\n",
    "tried, all names": "try:\n    from pack.aid import *\nexcept ImportError:\n    pass\n",
    "all names, handed on": "from pack.every import g\n",
    "handed on by the package": "from pack import g\n",
    "default of a lambda": "from pack.aid import g as h\ng = lambda x, h=h: h(x)\n",
    "gone through under its own name": "from pack.aid import g as h\ndef g(x):\n    return [h for h in h(x)]\n",
    "class attribute of its own name": "from pack.aid import g as h\nclass g:\n    h = h\n",
    "table filled in a loop": "from pack.aid import g as h\ng = {}\nfor n in 'ab':\n    g[n] = h\n",
    "not for types": "from pack.aid import g as h\nif not TYPE_CHECKING:\n    def g(x):\n        return h(x)\n",
    "else of types": "if TYPE_CHECKING:\n    from pack.aid import h as g\nelse:\n    from pack.aid import g\n",
    "imports in branches": """
def g(x):
    if x:
        from pack.aid import g
    else:
        from pack.aid import h as g
    return g(x)
""",
    "by name": "import importlib\ndef g(x):\n    return importlib.import_module('pack.aid').g(x)\n",
    "lazy": "from pack.lazy import g\n",
    "whole package": "import pack\ndef g(x):\n    return getattr(pack, x)\n",
    "own names": "from pack.aid import g as h\ndef g(x):\n    return globals()[x]\n",
    "folder of modules": "from pack.folder import inner\ndef g(x):\n    return inner.g(x)\n",
    "folder of modules, dotted": "import pack.folder.inner\ndef g(x):\n    return pack.folder.inner.g(x)\n",
    "done by an import": "import pack.patch\ndef g(x):\n    return x\n",
    "done by an import of an import": "from pack import patching\ndef g(x):\n    return x\n",
    "done by the package": "from pack.folded.inner import g\n",
}


@pytest.mark.parametrize("how", IN_MODULE)
def test_every_way_to_a_definition_is_followed(tree, how):
    assert tree.moves(f"{IN_MODULE[how]}\n\ndef solve(task):\n    return g(task)\n")


def test_an_import_of_what_nobody_uses_and_that_does_nothing_is_free(tree):
    before = tree.of()
    assert (
        tree.of(method=tree.files["method.py"].replace("import math", "import math\nimport pack.more"), more="X = 1\n")
        == before
    )
