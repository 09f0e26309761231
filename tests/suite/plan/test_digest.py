from __future__ import annotations

import hashlib
from datetime import date
from importlib.metadata import version
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suite.parts import Part
from suite.plan import digest

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def test_a_digest_is_the_sha256_of_canonical_json():
    content = {"b": [1, 2.5, None], "a": date(2022, 4, 12), "c": Part(name="mlp")}
    expected = '{"a":"2022-04-12","b":[1,2.5,null],"c":'
    assert digest.digest({"b": [1, 2.5, None], "a": True}) == sha256('{"a":true,"b":[1,2.5,null]}')
    assert digest.digest(content | {"c": Path("/x")}) == sha256(expected + '"/x"}')
    assert digest.digest(content) != digest.digest(content | {"c": Part(name="bilstm")})


@given(content=st.dictionaries(st.text(max_size=3), JSON, min_size=2))
def test_the_order_of_keys_changes_no_digest(content):
    backwards = dict(reversed(content.items()))
    assert digest.digest(backwards) == digest.digest(content)


@given(one=JSON, other=JSON)
def test_different_content_has_different_digests(one, other):
    assert (digest.digest(one) == digest.digest(other)) == (spelled(one) == spelled(other))


def spelled(content: object) -> str:
    """Text that is equal for equal JSON alone; in Python True == 1 as well."""
    if isinstance(content, dict):
        return f"object {sorted((key, spelled(value)) for key, value in content.items())}"
    return f"list {list(map(spelled, content))}" if isinstance(content, list) else repr(content)


def test_a_file_is_known_by_its_bytes(tmp_path):
    (tmp_path / "a").write_bytes(b"\x00\xff")
    assert digest.of_file(tmp_path / "a") == hashlib.sha256(b"\x00\xff").hexdigest()


def test_the_versions_of_what_computes_figures_are_recorded():
    assert digest.libraries()["torch"] == version("torch")
    assert {"numpy", "polars", "scikit-learn", "scipy"} <= digest.libraries().keys()


@pytest.fixture
def tree(tmp_path, monkeypatch):
    """A repository of four modules: top -> middle <-> low, and one on its own."""
    monkeypatch.setattr(digest, "ROOT", tmp_path)
    files = {
        "suite/__init__.py": "",
        "suite/top.py": "from suite import middle\nimport numpy\n",
        "suite/middle.py": "import os\n\n\ndef f():\n    from suite.low import g\n",
        "suite/low.py": "from suite import middle\n",
        "suite/alone.py": "",
        "models/deep/__init__.py": "",
        "models/deep/net.py": "import suite.low\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def sources(*modules: str) -> str:
        digest.of_file.cache_clear()
        digest.sources.cache_clear()
        return digest.sources(*modules)

    yield tmp_path, sources
    digest.of_file.cache_clear()
    digest.sources.cache_clear()


@pytest.mark.parametrize("edited", ["suite/top.py", "suite/middle.py", "suite/low.py"])
def test_an_edit_of_anything_imported_changes_the_sources(tree, edited):
    root, sources = tree
    before = sources("suite.top")
    (root / edited).write_text((root / edited).read_text() + "x = 1\n")
    assert sources("suite.top") != before


def test_an_edit_of_what_is_not_imported_changes_no_sources(tree):
    root, sources = tree
    before = sources("suite.top")
    (root / "suite/alone.py").write_text("x = 1\n")
    assert sources("suite.top") == before


def test_packages_and_dotted_imports_are_followed(tree):
    root, sources = tree
    before = sources("models.deep.net")
    (root / "suite/middle.py").write_text("x = 1\n")
    assert sources("models.deep.net") != before


def test_sources_do_not_depend_on_where_the_repository_lies(tree, tmp_path_factory, monkeypatch):
    root, sources = tree
    before = sources("suite.top")
    moved = tmp_path_factory.mktemp("moved") / "elsewhere"
    root.rename(moved)
    monkeypatch.setattr(digest, "ROOT", moved)
    assert sources("suite.top") == before


def test_a_users_own_file_counts_with_what_it_imports_of_ours(tree):
    root, sources = tree
    (root / "mine.py").write_text("from suite.low import x\n")
    before = sources(str(root / "mine.py"))
    (root / "suite/low.py").write_text("x = 1\n")
    after = sources(str(root / "mine.py"))
    (root / "mine.py").write_text("from suite.low import x\n\ny = x\n")
    assert len({before, after, sources(str(root / "mine.py"))}) == 3


def test_the_real_steps_know_what_they_import():
    everything = digest.sources("suite.steps.fit", "models.mlp")
    assert everything != digest.sources("suite.steps.fit", "models.bilstm")
    assert everything != digest.sources("suite.steps.fit")
