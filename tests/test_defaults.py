"""Defaults that help texts and documents state are those of the code."""

from __future__ import annotations

import inspect
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
import yaml
from pydantic import BaseModel, TypeAdapter

import attacks.audit
import suite
from suite import registry, spec
from suite.cluster import connect
from suite.cluster.settings import Compute
from suite.datasets import table
from suite.datasets.simulators import ebnerd, recsys2021
from suite.publish import places
from suite.search import search
from suite.spec import Suite
from suite.store.results import Store
from suite.training.settings import Training
from tests.commandline import commands

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "mlflow/README.md", *sorted((ROOT / "docs").glob("*.md"))]

ROW = re.compile(r"^\| `(\w+)` \| (.+?) \| .*\|$", re.MULTILINE)
"""A key and its default, in a table of keys."""

STATED = re.compile(r"`(\w+)` \(([^)`]+)\)")
"""A parameter and its default, in a sentence: `history_days` (7)."""


def listed(title: str) -> dict[str, str]:
    """Keys of a section of docs/settings.md, with what it says of their defaults."""
    text = (ROOT / "docs/settings.md").read_text()
    (section,) = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
    return dict(ROW.findall(section))


@pytest.mark.parametrize(
    ("title", "model"), [("Suite", Suite), ("training", Training), ("compute", Compute)]
)
def test_every_key_of_a_suite_file_is_listed_with_its_default(
    title: str, model: type[BaseModel]
) -> None:
    said = listed(title)
    assert list(said) == list(model.model_fields)
    for key, field in model.model_fields.items():
        if field.is_required():
            assert said[key] == "required", key
        elif said[key] == "below":
            assert issubclass(field.annotation, BaseModel)
            assert listed(key)
        else:
            value = yaml.safe_load(said[key].removeprefix("`").removesuffix("`"))
            default = field.get_default(call_default_factory=True)
            assert TypeAdapter(field.annotation).validate_python(value) == default, key


WHEN_NONE = {("table", "history_days"): table.HISTORY_DAYS}
"""What stands for None, by page and parameter."""


def part_of(page: Path) -> list[inspect.Parameter]:
    """Parameters of the dataset that a page is about."""
    return list(inspect.signature(registry.part("datasets", page.stem)).parameters.values())


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_parameters_stated_in_sentences_have_that_default(page: Path) -> None:
    datasets = registry.names("datasets")
    known = {p.name: p.default for p in part_of(page)} if page.stem in datasets else {}
    for name, value in STATED.findall(page.read_text()):
        if name in known:
            default = WHEN_NONE.get((page.stem, name), known[name])
            assert str(default) == value, name


def test_sentences_that_state_parameters_are_found() -> None:
    """Else the test above would hold for whatever is written."""
    stated = {
        (page.stem, name)
        for page in PAGES
        if page.stem in registry.names("datasets")
        for name, _ in STATED.findall(page.read_text())
        if name in {p.name for p in part_of(page)}
    }
    assert stated == {
        ("table", "time_zone"),
        ("table", "history_days"),
        ("recsys2021", "label_hours"),
    }


def training_time_defenses_are_off() -> None:
    for model in ("mlp", "bilstm"):
        given = registry.parameters("models", model, {})
        assert {given[name] for name in ("noise", "bottleneck", "adversarial")} == {0.0}


def the_step_is_not_compiled() -> None:
    assert Compute().compile is False


def the_tracking_store_lies_in_the_storage() -> None:
    assert places.tracking_uri(None, Store("/x/runs")) == "sqlite:////x/runs/mlflow.db"


SENTENCES: dict[str, Callable[[], None] | None] = {
    "training-time defenses as parameters, all off by default": training_time_defenses_are_off,
    "so it is off by default": the_step_is_not_compiled,
    "is the default store of `latentprint run`": the_tracking_store_lies_in_the_storage,
    # Of cuDNN, of code in general, and of settings in general.
    "TF32 is disabled": None,
    "A changed constant, default, helper function": None,
    "shown with their defaults by": None,
}
"""Where a page says default of something in code: what must hold then; None: it is not ours."""


def test_every_sentence_about_a_default_is_known_and_true() -> None:
    lines = [line for page in PAGES for line in page.read_text().splitlines()]
    unknown = [
        line
        for line in lines
        if "default" in line.lower() and "`" in line
        if not any(known in line for known in SENTENCES)
    ]
    assert unknown == []
    for sentence, check in SENTENCES.items():
        assert any(sentence in line for line in lines), sentence
        if check is not None:
            check()


@pytest.fixture
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty folder to be in, and an environment that decides nothing."""
    for name in ("LATENTPRINT_STORAGE", "MLFLOW_TRACKING_URI", "RAY_ADDRESS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


HELP = {
    "storage": "Default: $LATENTPRINT_STORAGE or ./runs.",
    "tracking_uri": "Default: sqlite:///<storage>/mlflow.db.",
    "address": "Default: a local one.",
    "trials": "Default: 20, or the whole grid.",
    "concurrency": "Default: as resources allow.",
    "scheduler": "Default: asha; none for auc,lift.",
    "suite": "Default: the newest.",
    "vector": "Default: vector, or the only column of lists or numbered columns.",
    "time": "Default: time, if there is one.",
    "role": "Default: role, if there is one.",
    "session": "Default: session, if there is one.",
    "attack": "Default: cosine, euclidean.",
    "background": "Default: a random half of the users, if that attack is used.",
    "out": "Default: ./<file>-audit.",
    "history_days": "ebnerd (default 21): 21 shares 14 days between windows, 7 shares none. "
    "recsys2021 (default 5): days of the log before its last two.",
}
"""Defaults that help texts state themselves, by option; each is tested below."""


def test_the_help_states_no_other_defaults() -> None:
    found: dict[str, set[str]] = {}
    for command in commands().values():
        for option in command.params:
            text = getattr(option, "help", None) or ""
            if "default" in text.lower():
                stated = text if "(default" in text else text[text.index("Default:") :]
                found.setdefault(str(option.name), set()).add(stated)
    stated = {name: {text} for name, text in HELP.items()}
    stated["out"].add("Default: ./<file>-advice.json.")
    assert found == stated


def test_storage_and_tracking_are_where_the_help_says(
    bare: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = places.open_store(None)
    assert Path(store.url) == bare / "runs"
    assert places.tracking_uri(None, store) == f"sqlite:///{bare}/runs/mlflow.db"
    monkeypatch.setenv("LATENTPRINT_STORAGE", str(bare / "other"))
    assert Path(places.open_store(None).url) == bare / "other"


@pytest.mark.usefixtures("bare")
def test_without_an_address_a_local_cluster_is_started(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(connect.ray, "is_initialized", lambda: False)
    monkeypatch.setattr(connect.ray, "init", lambda **given: asked.append(given["address"]))
    with connect.connected(None):
        pass
    assert asked == ["local"]


def study(**given: Any) -> Any:
    """What `latentprint tune quick --model mlp` searches without further flags."""
    wanted = {"num_trials": None, "search": "random", "scheduler": None, "objectives": ["auc"]}
    overrides = ["space={width: [choice, 16, 32, 64], dropout: [choice, 0.0, 0.1]}"]
    return search.study(spec.load("quick", overrides), "mlp", **wanted | given)


def test_a_search_has_the_points_and_the_scheduler_that_the_help_says() -> None:
    assert study().num_trials == 20
    assert len(search.points(study(search="grid"))) == 3 * 2
    assert study().scheduler == "asha"
    assert study(objectives=["auc", "lift"]).scheduler == "none"


def test_as_many_trials_run_at_once_as_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "num_cpus", lambda: 12)
    assert search._concurrency(Compute(cpus_per_worker=4)) == 3


def test_the_newest_suite_is_read_where_none_is_named(tmp_path: Path) -> None:
    store = Store(str(tmp_path / "runs"))
    for name in ("b", "a"):
        folder = tmp_path / name
        folder.mkdir()
        (folder / "leaderboard.json").write_text(name)
        store.publish(name, folder)
    later = time.time() + 60
    os.utime(tmp_path / "runs/suites/b/leaderboard.json", (later, later))
    assert store.read_published(None, "leaderboard.json") == "b"


def test_an_audit_without_flags_takes_what_the_help_says(
    bare: Path, latentprint: Callable[..., Any]
) -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(20), 4)
    role = np.tile(["gallery", "gallery", "probe", "probe"], 20)
    session = np.tile([1, 2, 2, 3], 20)
    data = {
        "user_id": user,
        "decoy": np.zeros((80, 2), np.float32),
        "vector": rng.standard_normal((80, 3)).astype(np.float32),
        "time": np.arange(80),
        "role": role,
        "session": session,
    }
    pl.DataFrame(data).write_parquet(bare / "mine.parquet")
    done = latentprint("audit", bare / "mine.parquet")
    assert done.code == 0, done.err
    out = bare / "cwd" / "mine-audit"
    assert pl.read_csv(out / "audit.csv")["attack"].to_list() == ["cosine", "euclidean"]
    found = suite.audit(bare / "mine.parquet")
    assert (found.num_dimensions, found.split_by) == (3, "role")
    # The third vector of each user shares a session with the second.
    assert found.num_dropped == 20
    by_time = suite.audit(bare / "mine.parquet", without=["role", "session"])
    assert (by_time.split_by, by_time.num_dropped) == ("time", 0)


def test_half_of_the_users_are_background_where_an_attack_learns_from_them(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    user = np.repeat(np.arange(80), 4)
    vector = (rng.standard_normal((80, 3))[user] + rng.standard_normal((320, 3))).astype(np.float32)
    data = {"user_id": user, "vector": vector, "time": np.tile(np.arange(4), 80)}
    pl.DataFrame(data).write_parquet(tmp_path / "mine.parquet")
    learned, plain = (
        suite.audit(tmp_path / "mine.parquet", attacks=[name], replicates=100)
        for name in ("background", "cosine")
    )
    assert abs(learned.num_users_background - 40) < 3 * (80 / 4) ** 0.5
    assert learned.attacks[0].figures["num_gallery"] == 80 - learned.num_users_background
    assert (plain.num_users_background, plain.attacks[0].figures["num_gallery"]) == (0, 80)


def test_worlds_have_the_days_that_the_help_says() -> None:
    for world, days in ((ebnerd, 21), (recsys2021, 5)):
        assert inspect.signature(world.simulate).parameters["history_days"].default == days


@pytest.mark.parametrize(
    ("command", "function"),
    [
        ("data simulate", ebnerd.simulate),
        ("data simulate", recsys2021.simulate),
        ("audit", suite.audit),
        ("audit", attacks.audit.audit),
    ],
    ids=lambda given: given if isinstance(given, str) else f"{given.__module__}.{given.__name__}",
)
def test_a_command_and_the_function_behind_it_have_the_same_defaults(
    command: str, function: Callable[..., Any]
) -> None:
    flags = {str(option.name): option.default for option in commands()[command].params}
    shared = 0
    for name, parameter in inspect.signature(function).parameters.items():
        if parameter.default is not parameter.empty and flags.get(name) is not None:
            assert flags[name] == parameter.default, name
            shared += 1
    assert shared
