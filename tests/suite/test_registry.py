from __future__ import annotations

import inspect
import subprocess
import sys

import pytest

from suite import registry

KINDS = sorted(registry.KINDS)

OWN = """
from attacks.defenses.base import Defense


class Rounded(Defense):
    def __init__(self, *, digits: int, mode: str = "even", anything=None):
        if digits < 0:
            raise ValueError(f"digits must be >= 0, got {digits}")
        self.digits = digits

    def apply(self, released, rng):
        return released.vectors.round(self.digits)


class Unfinished(Defense):
    pass


class Unrelated:
    pass
"""


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.py"
    path.write_text(OWN)
    return path


def test_the_parts_of_the_spine_are_found():
    assert {"logistic", "mlp", "bilstm"} <= set(registry.names("models"))
    assert {"cosine", "euclidean"} <= set(registry.names("attacks"))
    assert {"none"} <= set(registry.names("defenses"))
    assert {"synthetic", "ebnerd", "kuairand"} <= set(registry.names("datasets"))
    assert {"static", "rolling"} <= set(registry.names("protocols"))


def test_files_without_a_part_are_not_parts():
    assert not {"base", "layers", "network"} & set(registry.names("models"))
    assert not {"base", "metrics", "ranking", "stats"} & set(registry.names("attacks"))
    assert not {"base", "check", "simulate_ebnerd"} & set(registry.names("datasets"))


@pytest.mark.parametrize("kind", KINDS)
def test_a_part_is_named_like_its_module(kind):
    for name in registry.names(kind):
        assert registry.part(kind, name).__module__ == registry.module(kind, name)


@pytest.mark.parametrize("name", ["", "no-name", "../mlp", "layers", "base", "mlp.py", "nothing"])
def test_what_is_no_part_is_answered_with_the_known_ones(name):
    with pytest.raises(ValueError, match=r"^models: there is no .*known: .*logistic, "):
        registry.part("models", name)


def test_parameters_are_filled_in_and_typed():
    constructor = inspect.signature(registry.part("models", "mlp"))
    defaults = {name: p.default for name, p in constructor.parameters.items()}
    assert (defaults["width"], defaults["depth"]) == (256, 3)
    assert registry.parameters("models", "mlp", {"width": 64}) == defaults | {"width": 64}
    # What YAML gives as a list becomes what the constructor says.
    given = {"windows": ["train", "test"]}
    assert registry.parameters("protocols", "static", given)["windows"] == ("train", "test")


def test_a_users_own_file_is_a_part(own):
    name = f"{own}:Rounded"
    assert registry.module("defenses", name) == str(own)
    assert registry.create("defenses", name, {"digits": 2}).digits == 2
    assert registry.parameters("defenses", name, {"digits": "2"}) == {
        "digits": 2,
        "mode": "even",
        "anything": None,
    }


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({}, "digits: missing"),
        ({"digits": "many"}, "digits: found 'many', allowed: .*integer"),
        ({"digit": 3}, "unknown key 'digit'; did you mean 'digits'"),
        ({"digits": -1}, "digits must be >= 0, got -1"),
    ],
)
def test_a_users_own_file_is_checked_like_ours(own, parameters, message):
    with pytest.raises(ValueError, match=message):
        registry.create("defenses", f"{own}:Rounded", parameters)


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (OWN, "own.py:Missing", "defines no concrete Defense 'Missing'"),
        (OWN, "own.py:Unrelated", "defines no concrete Defense 'Unrelated'"),
        (OWN, "own.py:Unfinished", "defines no concrete Defense 'Unfinished'"),
        (OWN, "own.py:Defense", "defines no concrete Defense 'Defense'"),
        (OWN, "nowhere.py:Rounded", "there is no Python file"),
        (OWN, "own.txt:Rounded", "there is no Python file"),
        ("x = (", "own.py:Rounded", "own.py: SyntaxError: "),
        ("import nothing_like_it", "own.py:Rounded", "ModuleNotFoundError: No module named"),
        ("1 / 0", "own.py:Rounded", "own.py: ZeroDivisionError"),
    ],
)
def test_a_users_file_that_cannot_be_used_is_named(tmp_path, text, name, message):
    (tmp_path / "own.py").write_text(text)
    (tmp_path / "own.txt").write_text(text)
    for _ in range(2):
        with pytest.raises(ValueError, match=f"^defenses: .*{message}"):
            registry.create("defenses", f"{tmp_path}/{name}", {"digits": 1})


def test_listing_names_needs_no_cluster_and_no_tracker():
    program = (
        "import sys\n"
        "from suite import registry\n"
        "for kind in registry.KINDS:\n"
        "    registry.names(kind)\n"
        "print(sorted({'ray', 'mlflow'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "[]"), done.stderr
