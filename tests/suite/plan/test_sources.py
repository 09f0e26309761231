"""Whatever can change a result changes the digest of its code; what cannot does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from suite.plan import digest, plan, sources
from suite.plan.analyses import analyses
from suite.spec import Suite

TREE = {
    "suite/__init__.py": '"""Doc."""\n',
    "suite/steps/__init__.py": "",
    "suite/steps/fit.py": '''
"""How a fit is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, Field

from suite import shapes
from suite.tools import LIMIT, helper

if TYPE_CHECKING:
    from suite.checked import Checked

MARGIN: int = 4
"""Of the fit."""


class Settings(BaseModel):
    """Doc."""

    rate: float = Field(0.5, ge=0, description="of the fit")


def fit(x: Checked, seed: int = 3) -> int:
    """Fit."""
    # A comment.
    sides: int = 2
    return helper(x) + LIMIT + MARGIN + shapes.area(x, sides) + Settings().rate + lazy(x)


def lazy(x):
    from suite.late import late

    return late(x)


def idle():
    return MARGIN
''',
    "suite/tools.py": """
import functools

LIMIT = 5
REGISTER = []


class Base:
    def twice(self):
        return 2


class Derived(Base):
    pass


@functools.lru_cache(maxsize=8)
def helper(x):
    return Derived().twice() + inner(x) + len(REGISTER)


def inner(x):
    return x


def idle():
    return LIMIT
""",
    "suite/shapes.py": "def area(x, sides):\n    return x\n\n\ndef volume(x):\n    return x\n",
    "suite/late.py": "from suite.shapes import volume\n\n\ndef late(x):\n    return volume(x)\n",
    "suite/checked.py": "class Checked:\n    pass\n\n\ndef helper(x):\n    return 7\n",
}

FIT = "suite/steps/fit.py"
TOOLS = "suite/tools.py"


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A small repository; gives a function that edits it and says whether the digest changed."""
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    for name, text in TREE.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def changes(file: str, old: str, new: str) -> bool:
        before = digest.sources("suite.steps.fit:fit")
        text = (tmp_path / file).read_text()
        assert old in text
        (tmp_path / file).write_text(text.replace(old, new, 1) if old else text + new)
        return digest.sources("suite.steps.fit:fit") != before

    return changes


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (FIT, "How a fit is made", "How a fit, then, is made"),
        (FIT, '"""Fit."""', '"""Fit, once."""'),
        (FIT, '    """Fit."""\n', ""),
        (FIT, "A comment", "Another comment"),
        (FIT, "    sides", "\n\n    sides"),
        (FIT, '"""Of the fit."""', ""),
        (FIT, '"of the fit"', '"of the fit, in all"'),
        (FIT, "(x: Checked, seed: int = 3) -> int", "(x, seed: float = 3) -> float"),
        (FIT, "sides: int", "sides: float"),
        (FIT, "from suite.checked import Checked", "from suite.late import late as Checked"),
        (FIT, "from suite.checked import Checked", "pass"),
        (FIT, "\n\ndef idle():\n    return MARGIN\n", ""),
        (FIT, "from pydantic import BaseModel, Field", "from pydantic import Field, BaseModel"),
        (FIT, "", "\n\ndef more():\n    return 1\n"),
        (TOOLS, "def idle():\n    return LIMIT", "def idle():\n    return 0"),
        (TOOLS, "LIMIT = 5", "NEW = 1\nLIMIT = 5"),
        (TOOLS, "", "import json\n"),
        ("suite/checked.py", "pass", "x = 1"),
        ("suite/__init__.py", "Doc.", "Documentation."),
    ],
)
def test_what_changes_no_result_changes_no_digest(tree, file, old, new):
    assert not tree(file, old, new)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        (FIT, "MARGIN: int = 4", "MARGIN: int = 5"),
        (FIT, "seed: int = 3", "seed: int = 4"),
        (FIT, "sides: int = 2", "sides: int = 3"),
        (FIT, "ge=0", "ge=1"),
        (FIT, "rate: float", "rate: int"),
        (FIT, "import LIMIT, helper", "import LIMIT\nfrom suite.checked import helper"),
        (FIT, "import LIMIT, helper", "import LIMIT, inner as helper"),
        (FIT, "from suite.late import late", "from suite.shapes import volume as late"),
        (TOOLS, "LIMIT = 5", "LIMIT = 6"),
        (TOOLS, "LIMIT = 5", "LIMIT = 5\nLIMIT += 1"),
        (TOOLS, "return 2", "return 3"),
        (TOOLS, "(Base)", ""),
        (TOOLS, "def inner(x):\n    return x", "def inner(x):\n    return -x"),
        (TOOLS, "maxsize=8", "maxsize=9"),
        (TOOLS, "", "REGISTER.append(1)\n"),
        (TOOLS, "", "_ = REGISTER.append(1)\n"),
        (TOOLS, "", "Base.twice = inner\n"),
        (TOOLS, "", "import suite.shapes\n\nsuite.shapes.area = inner\n"),
        (TOOLS, "", "if LIMIT:\n    inner = len\n"),
        ("suite/shapes.py", "sides):\n    return x", "sides):\n    return sides"),
        ("suite/shapes.py", "volume(x):\n    return x", "volume(x):\n    return -x"),
        ("suite/late.py", "volume(x)", "volume(x) + 1"),
        ("suite/__init__.py", "", "import suite.tools\n\nsuite.tools.LIMIT = 9\n"),
    ],
)
def test_what_can_change_a_result_changes_the_digest(tree, file, old, new):
    assert tree(file, old, new)


def test_a_module_that_is_handed_on_counts_as_a_whole(tree):
    tree(FIT, "shapes.area(x, sides)", "getattr(shapes, 'area')(x, sides)")
    assert tree("suite/shapes.py", "", "def other():\n    return 1\n")


def test_a_module_named_by_a_text_counts(tree):
    assert tree(FIT, "return late(x)", 'return import_module("suite.checked").helper(x)')
    assert tree("suite/checked.py", "return 7", "return 8")


def test_docstrings_that_are_read_count(tree):
    tree(FIT, "Settings().rate", "len(fit.__doc__)")
    assert tree(FIT, '"""Fit."""', '"""Fit, once."""')


def test_a_class_of_ours_may_act_on_those_that_derive_from_it(tree):
    tree(
        TOOLS,
        "def twice",
        "def __init_subclass__(cls):\n        REGISTER.append(cls)\n\n    def twice",
    )
    assert tree(TOOLS, "", "\n\nclass Another(Base):\n    pass\n")


@pytest.mark.usefixtures("tree")
def test_the_digest_does_not_depend_on_where_the_repository_lies(
    tmp_path, tmp_path_factory, monkeypatch
):
    before = digest.sources("suite.steps.fit:fit")
    moved = tmp_path_factory.mktemp("moved") / "elsewhere"
    tmp_path.rename(moved)
    monkeypatch.setattr(sources, "ROOT", moved)
    assert digest.sources("suite.steps.fit:fit") == before


def test_a_module_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match=r"there is no module 'suite\.nowhere'"):
        digest.sources("suite.nowhere:fit")


REAL = {
    "suite": "real",
    "datasets": [{"synthetic": {"users": 10}}],
    "models": ["mlp", "logistic"],
    "releases": ["model", "raw"],
    "protocols": ["static", "disjoint"],
    "attacks": ["cosine", "euclidean", "best"],
    "tasks": True,
}


@pytest.fixture(scope="module")
def codes():
    """What every step of a suite depends on, by a name that tells the steps apart."""
    plans = plan.plans(Suite.model_validate(REAL))
    steps = [step for p in plans for step in p.last.chain()]
    steps += [a.step for a in analyses(plans, 100, by_label=True)]
    return {
        " ".join([step.kind, *(part.rpartition(".")[2] for part in step.parts)]): step.code()
        for step in steps
    }


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of this repository's code, to be edited."""
    for package in sources.PACKAGES:
        skipped = shutil.ignore_patterns("__pycache__", "*.json", "*.html")
        shutil.copytree(sources.ROOT / package, tmp_path / package, ignore=skipped)
    monkeypatch.setattr(sources, "ROOT", tmp_path)
    return tmp_path


def edited(copy: Path, codes: dict[str, list[str]], file: str, old: str, new: str) -> set[str]:
    """Edit the code, and name the steps whose digest changes."""
    before = {name: digest.sources(*code) for name, code in codes.items()}
    text = (copy / file).read_text()
    assert old in text
    (copy / file).write_text(text.replace(old, new, 1))
    return {name for name, code in codes.items() if digest.sources(*code) != before[name]}


MLP = {"fit mlp", "represent mlp"}


@pytest.mark.parametrize(
    ("file", "old", "new", "changed"),
    [
        ("suite/training/loop.py", '"""', '"""So: ', set()),
        ("suite/training/settings.py", 'description="', 'description="so, ', set()),
        ("suite/spec.py", 'description="', 'description="so, ', set()),
        ("suite/plan/plan.py", "import annotations", "import annotations\nX = 1", set()),
        ("suite/store/results.py", "STALE_S = 3600", "STALE_S = 3601", set()),
        ("suite/training/loop.py", '"stale": 0,', '"stale": 1,', {"fit mlp", "fit logistic"}),
        ("models/mlp.py", "class ", "SIZE = 1\n\n\nclass ", MLP),
        ("attacks/euclidean.py", "class ", "SIZE = 1\n\n\nclass ", {"euclidean"}),
        ("suite/steps/labels.py", "def measure_labels(", "def measure_labels(_=0, ", {"tasks"}),
        (
            "suite/steps/comparisons/differences.py",
            "def differences(",
            "def differences(_=0, ",
            {"differences"},
        ),
    ],
)
def test_an_edit_reaches_the_steps_that_use_it_and_no_others(copy, codes, file, old, new, changed):
    found = edited(copy, codes, file, old, new)
    if changed == {"euclidean"}:
        changed = {name for name in codes if "euclidean" in name}
        assert changed
    assert found == changed


def test_an_edit_of_a_result_reaches_all_who_read_it(copy, codes):
    found = edited(copy, codes, "suite/artifacts/outcome.py", "glob=False", "glob=True")
    assert {name.split()[0] for name in found} == {"attack", "measure", "best", "differences"}


def test_an_edit_of_ranks_reaches_attacks_and_what_reads_them_but_no_fit(copy, codes):
    found = edited(
        copy,
        codes,
        "attacks/ranks/exact.py",
        "class Ranks",
        "class Ranks_(int): ...\n\n\nclass Ranks",
    )
    assert not {name for name in found if name.startswith(("fit", "features", "half"))}
