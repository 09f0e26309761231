"""What a user's own part imports is part of the digest of the steps that use it."""

from __future__ import annotations

import shutil
import sys

import pytest

from suite.plan import digest, plan
from suite.spec import Suite

MINE = """
from attacks.cosine import Cosine
{imports}

class Mine(Cosine):
    \"\"\"The adversary holds the gallery.\"\"\"

    def ranks(self, probe, gallery, true):
        {inside}
        return super().ranks(probe * SCALE, gallery, true)
"""

ON_PATH = "import pathlib, sys\nsys.path.insert(0, str(pathlib.Path(__file__).parent))\n"

IMPORTS = {
    "after a change of the path": (ON_PATH + "from helper import SCALE", ""),
    "as a module": ("import helper", "SCALE = helper.SCALE"),
    "inside a function": ("", "from helper import SCALE"),
    "under a condition": ("if True:\n    from helper import SCALE", ""),
    "where another is missing": (
        "try:\n    from missing import SCALE\nexcept ImportError:\n    from helper import SCALE",
        "",
    ),
    "all of it": ("from helper import *", ""),
    "from a package": ("from pack.deep import SCALE", ""),
    "from a package that imports relatively": ("import pack\nSCALE = pack.SCALE", ""),
    "through another helper": ("from through import SCALE", ""),
    "by a text": ("import importlib", 'SCALE = importlib.import_module("helper").SCALE'),
    "by a file": ("import runpy", 'SCALE = runpy.run_path("helper.py")["SCALE"]'),
}

HELPER = '"""Helps."""\n\nSCALE = 1.0\n'


@pytest.mark.parametrize("way", IMPORTS)
def test_a_helper_of_a_users_own_part_is_part_of_the_digest(tmp_path, way):
    imports, inside = IMPORTS[way]
    part = tmp_path / "mine.py"
    part.write_text(MINE.format(imports=imports, inside=inside))
    (tmp_path / "pack").mkdir()
    (tmp_path / "pack/__init__.py").write_text("from .deep import SCALE\n")
    (tmp_path / "through.py").write_text("from helper import SCALE\n")
    for helper in (tmp_path / "helper.py", tmp_path / "pack/deep.py"):
        helper.write_text(HELPER)

    def digests() -> str:
        return digest.sources("suite.steps.attack:attack", str(part))

    before = digests()
    for helper in (tmp_path / "helper.py", tmp_path / "pack/deep.py"):
        helper.write_text("# Edited.\n\n" + HELPER.replace("Helps", "Helps, too"))
    assert digests() == before
    for helper in (tmp_path / "helper.py", tmp_path / "pack/deep.py"):
        helper.write_text(HELPER.replace("1.0", "-1.0"))
    assert digests() != before


def test_a_part_that_is_a_package_counts_with_its_modules(tmp_path):
    (tmp_path / "mine").mkdir()
    part = tmp_path / "mine/__init__.py"
    part.write_text(MINE.format(imports="from .helper import SCALE", inside=""))
    (tmp_path / "mine/helper.py").write_text(HELPER)
    before = digest.sources(str(part))
    (tmp_path / "mine/helper.py").write_text(HELPER.replace("1.0", "-1.0"))
    assert digest.sources(str(part)) != before


def test_a_helper_on_a_path_that_the_part_adds_is_found_once_the_part_is_made(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/helper.py").write_text(HELPER)
    (tmp_path / "mine.py").write_text(
        f"import sys\nsys.path.insert(0, {str(tmp_path / 'lib')!r})\n"
        + MINE.format(imports="from helper import SCALE", inside="")
    )

    def planned() -> plan.Plan:
        attacks = [f"{tmp_path}/mine.py:Mine"]
        small = {
            "suite": "small",
            "datasets": [{"synthetic": {"users": 10}}],
            "models": ["logistic"],
            "protocols": ["static"],
            "attacks": attacks,
        }
        return plan.plans(Suite.model_validate(small))[0]

    before = planned()
    (tmp_path / "lib/helper.py").write_text(HELPER.replace("1.0", "-1.0"))
    after = planned()
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    assert after.timed["attack"].digest != before.timed["attack"].digest
    assert after.timed["represent"].digest == before.timed["represent"].digest


def test_a_helper_elsewhere_and_a_neighbor_that_is_not_imported_do_not_count(tmp_path):
    part = tmp_path / "mine.py"
    part.write_text(MINE.format(imports="from helper import SCALE", inside=""))
    (tmp_path / "helper.py").write_text(HELPER)
    before = digest.sources(str(part))
    (tmp_path / "neighbor.py").write_text("SCALE = 3\n")
    assert digest.sources(str(part)) == before
    moved = tmp_path / "moved"
    moved.mkdir()
    for name in ("mine.py", "helper.py"):
        (tmp_path / name).rename(moved / name)
    assert digest.sources(str(moved / "mine.py")) == before


def test_versions_of_what_a_users_own_part_imports_count(tmp_path, monkeypatch):
    part = tmp_path / "mine.py"
    part.write_text("import yaml\n\nfrom attacks.cosine import Cosine\n")
    elsewhere = tmp_path / "elsewhere" / "mine.py"
    elsewhere.parent.mkdir()
    shutil.copy(part, elsewhere)
    before = digest.sources(str(part))
    monkeypatch.setattr(digest, "version", "0.0.1 of {}".format)
    assert digest.sources(str(elsewhere)) != before
