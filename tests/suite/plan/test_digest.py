from __future__ import annotations

import hashlib
from datetime import date
from importlib.metadata import version
from pathlib import Path

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


def test_the_versions_of_what_computes_figures_are_recorded():
    assert digest.libraries()["torch"] == version("torch")
    assert {"numpy", "polars", "scikit-learn", "scipy"} <= digest.libraries().keys()
