from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("kind", "known"),
    [
        ("models", ["logistic", "mlp", "bilstm", "width=256"]),
        ("attacks", ["cosine", "euclidean"]),
        ("defenses", ["none"]),
        ("datasets", ["kuairand", "ebnerd", "synthetic", "users=2000"]),
        ("protocols", ["static", "rolling"]),
        ("suites", ["quick", "kuairand", "ebnerd", "36"]),
    ],
)
def test_the_parts_are_listed_with_what_they_are_and_take(latentprint, monkeypatch, kind, known):
    monkeypatch.setenv("COLUMNS", "250")
    done = latentprint("list", kind)
    assert done.code == 0
    for word in known:
        assert word in done.out


def test_wide_features_are_listed_with_the_count_of_each_group(latentprint, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    done = latentprint("list", "features", "recsys2021")
    assert done.code == 0
    for word in ("te_hashtags_like_top3", "reader_creator", "cosine", "engagee_follows_engager"):
        assert word in done.out
    said = "443 features: 234 content, 85 reader, 97 creator, 27 reader_creator"
    assert " ".join(done.out.split()).endswith(said)
