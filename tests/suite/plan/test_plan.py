from __future__ import annotations

from itertools import combinations

import pytest

from suite import registry, spec
from suite.plan import plan
from suite.plan.analyses import analyses
from suite.plan.step import Step
from suite.spec import Suite

OWN = """
from dataclasses import dataclass
from pathlib import Path
from suite.datasets.base import Dataset


@dataclass(frozen=True, kw_only=True)
class Own(Dataset):
    path: str
    column: str = "time"

    def files(self):
        return [Path(self.path) / "log.csv"]

    def tables(self):
        raise NotImplementedError
"""

SMALL = {
    "suite": "small",
    "datasets": [{"synthetic": {"users": 10}}],
    "models": ["logistic", "mlp"],
    "releases": ["model", "raw", "context_only"],
    "protocols": ["static", "rolling"],
    "attacks": ["cosine", "euclidean"],
}


def plans(**keys: object) -> list[plan.Plan]:
    return plan.plans(Suite.model_validate(SMALL | keys))


def digests(kind: str, found: list[plan.Plan]) -> set[str]:
    return {step.digest for p in found for step in p.last.chain() if step.kind == kind}


def test_every_cell_has_a_plan_in_the_order_of_the_suite():
    suite = Suite.model_validate(SMALL)
    keys = ("model", "seed", "release", "protocol", "defense", "attack")
    expected = [(c.model.name, c.seed, c.release, *(p.name for p in c[4:7])) for c in suite.cells()]
    assert [tuple(p.names[key] for key in keys) for p in plans()] == expected
    assert {(p.names["dataset"], p.names["synthetic"]) for p in plans()} == {("synthetic", True)}


def test_cells_share_the_steps_that_are_the_same():
    found = plans(seeds=[0, 1])
    num = {kind: len(digests(kind, found)) for kind in ("features", "fit", "represent", "attack")}
    # raw and context_only need no seed, and the fit no release.
    assert num == {"features": 1, "fit": 2 * 2, "represent": 2 * (2 + 1), "attack": 48}
    assert len({p.digest for p in found}) == len(found) == 48


def test_a_step_comes_after_what_it_needs():
    for p in plans():
        seen: set[str] = set()
        for step in p.last.chain():
            assert {needed.digest for needed in step.inputs} <= seen
            seen.add(step.digest)
        # Models with the same inputs share the figures, and are two rows.
        assert (p.last.digest == p.digest) == (p.names["release"] != "raw")


def test_only_a_model_release_is_fitted_and_timed_so():
    for p in plans():
        fitted = any(step.kind == "fit" for step in p.last.chain())
        assert fitted == (p.names["release"] == "model") == ("fit" in p.timed)
        assert {"represent", "attack"} <= p.timed.keys()


BLOCKS = ["aggregates", "sequence", "all"]


def references(found: list[plan.Plan]) -> dict[tuple[str, str], Step]:
    rows = [p for p in found if p.reference]
    return {(p.names["model"], p.names["attack"]): p.reference for p in rows}


def test_the_reference_is_chosen_among_all_blocks_and_plain_attacks_on_validation():
    attacks = ["cosine", "lda", "aggregated", "best"]
    found = references(plans(models=["mlp", "bilstm"], protocols=["rolling"], attacks=attacks))
    # An attack that pools probes may do better without any amplification, and so may the best.
    assert set(found) == {(m, a) for m in ("mlp", "bilstm") for a in ("cosine", "lda")}
    for (model, _), step in found.items():
        blocks = BLOCKS if model == "bilstm" else BLOCKS[:1]
        names = [f"{block}, {attack}" for block in blocks for attack in ("cosine", "lda")]
        assert step.arguments["candidates"] == names
        windows = [i.arguments["protocol"].parameters["probes"] for i in step.inputs]
        assert windows == ["validation"] * len(names) + ["test"] * len(names)
        assert all(s.kind not in ("fit", "defend") for s in step.chain())


def test_models_with_the_same_inputs_seeds_and_defenses_share_one_reading(tmp_path):
    (tmp_path / "own.py").write_text(
        "from attacks.defenses.none import Undefended\nclass Own(Undefended):\n    pass\n"
    )
    own = f"{tmp_path}/own.py:Own"
    models = ["logistic", "gbdt", "mlp", {"mlp": {"width": 64}}]
    several = plans(models=models, seeds=[0, 1], defenses=["none", own], protocols=["rolling"])
    found = {p.reference.digest for p in several if p.reference}
    # 27 aggregates of two models, 21 of two others.
    assert len(found) == 2
    assert len({p.digest for p in several}) == len(several)


def test_inputs_in_several_blocks_are_released_as_the_strongest_of_them():
    found = plans(models=["mlp", "bilstm"], releases=["raw"], attacks=["cosine"])
    kinds = {(p.names["model"], p.attack.kind) for p in found}
    assert kinds == {("mlp", "attack"), ("bilstm", "strongest")}
    for p in found:
        if p.attack.kind == "strongest":
            assert p.attack.arguments["candidates"] == BLOCKS
            assert not p.timed


def test_a_protocol_without_a_counterpart_on_validation_has_no_reference(tmp_path):
    (tmp_path / "own.py").write_text(
        "from suite.protocols.base import Protocol\n"
        "from suite.protocols.static import Static\n"
        "class Own(Static):\n    on_validation = Protocol.on_validation\n"
    )
    found = plans(models=["bilstm"], protocols=[f"{tmp_path}/own.py:Own"])
    assert all(p.reference is None for p in found)
    assert {p.attack.kind for p in found} == {"attack"}


CHANGES = {
    "nothing": {},
    "seed": {"seeds": [1]},
    "dataset parameter": {"datasets": [{"synthetic": {"users": 11}}]},
    "held-out users": {"holdout_users": 0.3},
    "training": {"training": {"epochs": 3}},
    "learning rate": {"training": {"learning_rate": 1e-3}},
    "model parameter": {"models": [{"logistic": {"c": 2.0}}, {"mlp": {"width": 64}}]},
    "protocol parameter": {
        "protocols": [{"static": {"users": "all"}}, {"rolling": {"probes": "validation"}}]
    },
}


@pytest.mark.parametrize(("one", "other"), list(combinations(CHANGES, 2)))
def test_the_digest_of_a_cell_changes_with_every_parameter(one, other):
    first, second = plans(**CHANGES[one]), plans(**CHANGES[other])
    same = {p.digest for p in first} & {p.digest for p in second}
    fitted = {p.digest for p in first + second if p.names["release"] == "model"}
    training = {"nothing", "training", "learning rate"}
    # What needs no fitted model does not depend on how one is trained.
    assert bool(same) == ({one, other} <= training)
    assert not same & fitted


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ("protocol parameter", {"features", "fit", "represent"}),
        ("training", {"features"}),
        ("model parameter", {"features"}),
        ("dataset parameter", set()),
    ],
)
def test_a_change_redoes_what_depends_on_it_and_no_more(change, kept):
    before, after = plans(), plans(**CHANGES[change])
    for kind in ("features", "fit", "represent", "attack", "measure"):
        assert (digests(kind, before) == digests(kind, after)) == (kind in kept), kind


def test_no_cell_depends_on_resamples():
    assert [p.digest for p in plans(bootstrap=200)] == [p.digest for p in plans()]


def test_no_digest_depends_on_where_things_run():
    elsewhere = {"workers": 4, "cpus_per_worker": 2, "accelerator": "cuda"}
    assert [p.digest for p in plans(compute=elsewhere)] == [p.digest for p in plans()]


def test_no_digest_depends_on_the_suites_name_or_its_other_cells():
    alone = plans(suite="other", about="x", models=["mlp"], attacks=["cosine"])
    assert {p.digest for p in alone} < {p.digest for p in plans()}


def test_a_default_made_explicit_is_the_same_cell():
    explicit = plans(models=["logistic", {"mlp": {"width": 256}}])
    assert [p.digest for p in explicit] == [p.digest for p in plans()]


@pytest.mark.parametrize(
    ("keys", "cell"),
    [
        ({"seeds": [0, 0]}, "model logistic"),
        ({"models": ["mlp", {"mlp": {"width": 256}}]}, "model mlp"),
        ({"releases": ["raw", "raw"]}, "release raw"),
    ],
)
def test_a_cell_asked_for_twice_is_refused(keys, cell):
    with pytest.raises(ValueError, match=f"^small: .* twice: dataset synthetic.*{cell}"):
        plans(**keys)


@pytest.fixture
def noise(tmp_path) -> str:
    """Name of a user's own defense."""
    (tmp_path / "noise.py").write_text(
        "from attacks.defenses.none import Undefended\nclass Noise(Undefended):\n    pass\n"
    )
    return f"{tmp_path}/noise.py:Noise"


def steps(kind: str, found: list[plan.Plan]) -> dict[str, Step]:
    return {s.digest: s for p in found for s in p.last.chain() if s.kind == kind}


def test_a_release_is_defended_once_for_each_seed_and_number_of_releases(noise):
    found = plans(
        releases=["model"],
        defenses=["none", noise],
        releases_m=[1, 10],
        attacks=["cosine", "euclidean", "best"],
    )
    assert len(found) == 2 * 2 * 3 * (1 + 2)
    defended = steps("defend", found).values()
    # Two models; neither protocols nor attacks ask for a release of their own.
    assert sorted(s.arguments["releases_m"] for s in defended) == [1, 1, 10, 10]
    for p in found:
        kinds = {s.kind for s in p.last.chain()}
        assert ("defend" in kinds) == (p.names["defense"] != "none")
        shown = (p.names["releases_m"], p.names["attacker_holds"])
        asked = (p.cell.releases_m, "defended")
        assert shown == ((None, None) if p.names["defense"] == "none" else asked)
        if "represent" in p.timed:
            assert p.timed["represent"].kind == "represent"


def test_utility_is_that_of_one_release_and_shared_by_protocols_and_attacks(noise):
    found = plans(defenses=["none", noise], releases_m=[1, 10, "all"], models=["mlp"])
    utility = steps("utility", found).values()
    assert len(utility) == 2 * 3
    for step in utility:
        defended = [s for s in step.chain() if s.kind == "defend"]
        assert all(s.arguments["releases_m"] == 1 for s in defended)
    own = [
        s
        for s in utility
        if [i.kind for i in s.inputs] == ["features", "represent", "fit"] and not s.arguments
    ]
    assert len(own) == 1
    asked = [s for s in utility if "model" in s.arguments]
    assert [[i.kind for i in s.inputs] for s in asked] == [["features", "defend", "fit"]]


def test_both_halves_of_a_history_are_defended_as_the_whole_asks_for(noise):
    (found,) = plans(
        models=["mlp"],
        releases=["model"],
        protocols=["disjoint"],
        attacks=["cosine"],
        defenses=[noise],
    )
    _, *sides = found.attack.inputs
    assert [s.kind for s in sides] == ["defend", "defend"]
    wholes = {s.inputs[2].digest for s in sides}
    assert len(wholes) == 1
    assert all(s.kind != "half" for s in sides[0].inputs[2].chain())
    assert {s.inputs[1].inputs[0].arguments["side"] for s in sides} == {"gallery", "probe"}


def test_an_attacker_may_hold_vectors_from_before_the_defense(noise):
    found = plans(
        models=["mlp"],
        releases=["model", "raw"],
        protocols=["rolling", "disjoint"],
        attacks=["cosine"],
        defenses=[noise],
        attacker_holds=["defended", "undefended"],
    )
    for p in found:
        _, gallery, *probes = p.attack.inputs
        if p.cell.attacker_holds == "undefended":
            assert gallery.kind in ("represent", "inputs")
            assert [s.kind for s in probes] == ["defend"]
        else:
            assert gallery.kind == "defend"
            assert len(probes) == (p.names["protocol"] == "disjoint")
    assert len({p.digest for p in found}) == len(found) == 8


def test_another_training_is_defended_on_its_own_vectors(noise):
    keys = {"models": ["mlp"], "releases": ["model"], "attacks": ["linked"], "defenses": [noise]}
    for p in plans(**keys):
        _, here, there = p.attack.inputs
        assert [s.arguments["seed"] for s in (here, there)] == [0, 1]
        assert [s.inputs[1].inputs[1].arguments["seed"] for s in (here, there)] == [0, 1]


def test_models_under_different_numbers_of_releases_are_not_compared(noise):
    several = plans(defenses=["none", noise], releases_m=[1, 5, "all"], releases=["model"])
    found = [a for a in analyses(several, replicates=100) if a.step.kind == "differences"]
    assert {len(a.step.inputs) for a in found} == {2}
    named = sorted({a.names["defense"].removeprefix(noise) for a in found})
    assert named == ["", ", 5 releases", ", all releases", "none"]


@pytest.fixture
def own(tmp_path):
    """A user's own dataset, and plans of it that look at the files anew."""
    (tmp_path / "own.py").write_text(OWN)
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "log.csv").write_text("a\n1\n")

    def planned(**parameters: str) -> plan.Plan:
        given = {"path": str(tmp_path / "data")} | parameters
        datasets = [{f"{tmp_path}/own.py:Own": given}]
        return plans(datasets=datasets, models=["mlp"])[0]

    return tmp_path, planned


def test_the_digest_changes_with_the_content_of_the_files(own):
    folder, planned = own
    before = planned().digest
    assert planned().digest == before
    (folder / "data" / "log.csv").write_text("a\n2\n")
    assert planned().digest != before


def test_the_digest_does_not_change_with_the_place_of_the_data(own, monkeypatch):
    folder, planned = own
    before = planned().digest
    (folder / "data").rename(folder / "moved")
    assert planned(path=str(folder / "moved")).digest == before
    monkeypatch.chdir(folder)
    assert planned(path="moved").digest == before


def test_a_parameter_that_happens_to_name_a_folder_still_counts(own, monkeypatch):
    folder, planned = own
    (folder / "views").mkdir()
    (folder / "clicks").mkdir()
    monkeypatch.chdir(folder)
    assert planned(column="views").digest != planned(column="clicks").digest


def test_a_missing_file_is_named(own):
    folder, planned = own
    with pytest.raises(FileNotFoundError, match=r"nowhere/log.csv"):
        planned(path=str(folder / "nowhere"))


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"models": ["mlpp"]}, "models: there is no 'mlpp'; did you mean 'mlp'"),
        ({"attacks": ["cosin"]}, "attacks: there is no 'cosin'; did you mean 'cosine'"),
        ({"defenses": ["nome"]}, "defenses: there is no 'nome'; did you mean 'none'"),
        ({"protocols": ["statics"]}, "protocols: there is no 'statics'; did you mean 'static'"),
        ({"datasets": ["kuairnd"]}, "datasets: there is no 'kuairnd'; did you mean 'kuairand'"),
        ({"models": [{"mlp": {"widht": 3}}]}, "models: mlp: unknown key 'widht'; did you mean 'wi"),
        (
            {"models": [{"mlp": {"width": "x"}}]},
            "models: mlp: width: found 'x', allowed: .*integer",
        ),
        ({"models": [{"mlp": {"width": 0}}]}, "mlp: width must be >= 2"),
        ({"protocols": [{"static": {"windows": ["tset"]}}]}, "windows.0: found 'tset', allowed: "),
    ],
)
def test_a_wrong_part_is_found_before_anything_runs(keys, message):
    with pytest.raises(ValueError, match=message) as refused:
        plans(**keys)
    assert "\n" not in str(refused.value)


def test_the_recipes_can_be_planned_where_their_data_is():
    quick = plan.plans(spec.load("quick"))
    assert len(quick) == 36
    assert {p.names["defense"] for p in quick} == {"none"}
    assert registry.part("datasets", "synthetic").__name__ == "Synthetic"


def test_all_attacks_of_a_suite_name_the_same_users_where_one_learns_from_others():
    for attacks, aside in ((["cosine", "background", "best"], True), (["cosine", "best"], None)):
        every = [
            step for p in plans(attacks=attacks) for step in p.last.chain() if step.kind == "attack"
        ]
        assert {step.arguments.get("aside") for step in every} == {aside}
