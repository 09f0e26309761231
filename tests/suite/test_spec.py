from __future__ import annotations

import json
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suite import spec
from suite.parts import Part, label
from suite.spec import Suite, load
from suite.training.settings import Training

MINIMAL = {
    "suite": "s",
    "datasets": ["a"],
    "models": ["b"],
    "protocols": ["c"],
    "attacks": ["d"],
}

NAMES = st.lists(st.sampled_from("abcdef"), min_size=1, max_size=3, unique=True)


@settings(deadline=None, max_examples=30)
@given(axes=st.tuples(NAMES, NAMES, NAMES, NAMES, NAMES), seeds=st.sets(st.integers(0, 9)))
def test_cells_are_the_product_in_the_order_of_the_file(axes, seeds):
    datasets, models, protocols, defenses, attacks = axes
    seeds = sorted(seeds) or [0]
    releases = ["raw", "model"]
    suite = Suite.model_validate(
        MINIMAL
        | {"datasets": datasets, "models": models, "seeds": seeds, "releases": releases}
        | {"protocols": protocols, "defenses": defenses, "attacks": attacks}
    )
    cells = suite.cells()
    assert {cell[-2:] for cell in cells} == {(1, "defended")}
    found = [tuple(getattr(value, "name", value) for value in cell[:-2]) for cell in cells]
    assert found == list(product(datasets, models, seeds, releases, protocols, defenses, attacks))


def test_what_no_defense_changes_is_there_once():
    suite = Suite.model_validate(
        MINIMAL
        | {"defenses": ["none", "noise"], "releases_m": [5, 1, "all"]}
        | {"attacker_holds": ["undefended", "defended"]}
    )
    found = [(c.defense.name, c.releases_m, c.attacker_holds) for c in suite.cells()]
    holds = ("undefended", "defended")
    defended = [("noise", m, h) for m in (5, 1, "all") for h in holds]
    assert found == [("none", 1, "defended"), *defended]


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"releases_m": [0]}, r"releases_m\.0: found 0, allowed: "),
        ({"releases_m": ["every"]}, r"releases_m\.0: found 'every', allowed: "),
        ({"releases_m": [1.5]}, r"releases_m\.0: found 1\.5, allowed: "),
        ({"releases_m": []}, r"releases_m: "),
        ({"attacker_holds": ["nothing"]}, r"attacker_holds\.0: found 'nothing', allowed: "),
    ],
)
def test_a_wrong_number_of_releases_is_one_line(keys, message, tmp_path):
    path = tmp_path / "s.yaml"
    path.write_text(json.dumps(MINIMAL | keys))
    with pytest.raises(ValueError, match=message) as refused:
        load(str(path))
    assert "\n" not in str(refused.value)


def test_a_part_is_a_name_or_a_name_with_parameters():
    forms = ["mlp", {"mlp": None}, {"mlp": {"width": 8}}, {"name": "mlp", "parameters": {}}]
    suite = Suite.model_validate(MINIMAL | {"models": forms})
    assert [part.name for part in suite.models] == ["mlp"] * 4
    assert [part.parameters for part in suite.models] == [{}, {}, {"width": 8}, {}]


def test_a_suite_survives_a_round_trip_through_json():
    suite = Suite.model_validate(MINIMAL | {"models": ["b", {"mlp": {"width": 8}}]})
    assert Suite.model_validate_json(suite.model_dump_json()) == suite


def test_labels_show_the_parameters_that_tell_namesakes_apart_and_no_others():
    narrow = Part(name="mlp", parameters={"width": 8, "depth": 2})
    wide = Part(name="mlp", parameters={"width": 16, "depth": 2})
    other = Part(name="logistic", parameters={"c": 1.0})
    among = [narrow, wide, other]
    assert [label(part, among) for part in among] == [
        "mlp (width 8)",
        "mlp (width 16)",
        "logistic",
    ]
    assert label(narrow, [narrow, other]) == "mlp"


def test_lists_in_lists_are_short_in_a_label():
    one, three = (
        Part(name="nn_classifier", parameters={"widths": widths})
        for widths in ([[400, 100]], ((400, 100), (500, 100), (512, 64)))
    )
    found = [label(part, [one, three]) for part in (one, three)]
    assert found == [
        "nn_classifier (widths 400-100)",
        "nn_classifier (widths 400-100+500-100+512-64)",
    ]


def test_every_recipe_is_a_suite_of_its_own_name(monkeypatch):
    monkeypatch.setenv("LATENTPRINT_DATA", "/data")
    assert "quick" in spec.recipes()
    for name in spec.recipes():
        assert load(name).suite == name


def test_quick_is_the_suite_of_the_design():
    quick = load("quick")
    assert len(quick.cells()) == 3 * 3 * 2 * 2
    assert quick.datasets[0].parameters == {"users": 2000, "identity": 0.5, "drift": 0.1}
    assert quick.defenses == [Part(name="none")]
    assert (quick.seeds, quick.training.epochs, quick.bootstrap) == ([0], 4, 1000)


def test_the_training_defaults_are_those_of_the_design():
    training = Training()
    assert (training.learning_rate, training.pct_start, training.weight_decay) == (8e-4, 0.3, 3e-4)
    assert (training.batch_size, training.epochs, training.patience) == (512, 30, 7)
    assert Suite.model_validate(MINIMAL).holdout_users == 0.2


def test_overrides_reach_into_mappings_and_lists():
    suite = load(
        "quick",
        [
            "training.epochs=2",
            "datasets.0.synthetic.users=500",
            "models=[logistic]",
            "attacks.1={cosine: {}}",
            "compute.workers=2",
            "seeds.0=7",
        ],
    )
    assert suite.training.epochs == 2
    assert suite.datasets[0].parameters["users"] == 500
    assert suite.datasets[0].parameters["drift"] == 0.1
    assert [part.name for part in suite.models] == ["logistic"]
    assert [part.name for part in suite.attacks] == ["cosine", "cosine"]
    assert (suite.compute.workers, suite.seeds) == (2, [7])


def test_variables_come_from_the_environment(monkeypatch):
    monkeypatch.setenv("LATENTPRINT_DATA", "/somewhere")
    assert load("kuairand").datasets[0].parameters["path"] == "/somewhere/kuairand"


def test_an_unset_variable_is_named(monkeypatch):
    monkeypatch.delenv("LATENTPRINT_DATA", raising=False)
    with pytest.raises(ValueError, match=r"^kuairand.yaml: \$\{LATENTPRINT_DATA\} is not set"):
        load("kuairand")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("seeds", r"^--set seeds: found no key or no '=', allowed: key=value$"),
        ("=3", r"^--set =3: found no key or no '='"),
        ("seeds=[0", r"^--set seeds=\[0: '\[0' is not YAML$"),
        ("seeds.5=1", r"^--set seeds.5=1: there is no 'seeds.5' to be set$"),
        ("seeds.x=1", r"there is no 'seeds.x' to be set$"),
        ("suite.x=1", r"there is no 'suite.x' to be set$"),
        ("trainin.epochs=1", r"unknown key 'trainin'; did you mean 'training'\? known: about, "),
        ("training.epoch=1", r"unknown key 'training.epoch'; did you mean 'epochs'\? known: batch"),
        ("compute.worker=1", r"unknown key 'compute.worker'; did you mean 'workers'\?"),
        ("training.epochs=many", r"training.epochs: found 'many', allowed: .*integer"),
        ("training.epochs=0", r"training.epochs: found 0, allowed: .*greater than or equal to 1"),
        ("training.batch_size=64", r"user_cap 64 up to half of batch_size 64"),
        ("compute.accelerator=tpu", r"found 'tpu', allowed: .*'auto', 'cpu', 'cuda' or 'mps'"),
        ("compute.gpu_share=2", r"compute.gpu_share: found 2, allowed: .*less than or equal to 1"),
        ("compute={workers: 2, gpu_share: 0.5}", r"gpu_share 0.5 with one worker only"),
        ("releases=[mode]", r"releases.0: found 'mode', allowed: .*'model'"),
        ("seeds=[-1]", r"seeds.0: found -1, allowed: .*greater than or equal to 0"),
        (f"seeds=[0, {2**70}]", rf"seeds.1: found {2**70}, allowed: .*less than {2**63}"),
        (f"seeds=[{2**63}]", rf"seeds.0: found {2**63}, allowed: .*less than {2**63}"),
        ("seeds=[]", r"seeds: found \[\], allowed: .*at least 1 item"),
        ("holdout_users=1", r"holdout_users: found 1, allowed: .*less than 1"),
        ("models=[{mlp: {}, bilstm: {}}]", r"models.0: found .*, allowed: name, or name: {param"),
        ("models=[3]", r"models.0: found 3, allowed: name, or name: {parameters}"),
        ("models=[null]", r"models.0: found None, allowed: name, or name: {parameters}"),
        ("models=[{mlp: 3}]", r"models.0.parameters: found 3, allowed: .*dictionary"),
        ("models=[{name: mlp, width: 3}]", r"unknown key 'models.0.width'; known: "),
        ("suite=a/b", r"suite: found 'a/b', allowed: "),
    ],
)
def test_a_wrong_override_is_refused_in_one_line(override, message):
    with pytest.raises(ValueError, match=message) as refused:
        load("quick", [override])
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: [", r"mine.yaml: not YAML: "),
        ("- a", r"mine.yaml: found list, allowed: a mapping of keys$"),
        ("", r"mine.yaml: found NoneType, allowed: a mapping of keys$"),
        ("suite: s", r"mine.yaml: datasets: missing$"),
    ],
)
def test_a_wrong_file_is_refused_in_one_line(tmp_path, text, message):
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as refused:
        load(str(path))
    assert "\n" not in str(refused.value)


def test_an_unknown_suite_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(ValueError, match=r"no suite or file 'quik'; did you mean 'quick'\?"):
        load("quik")
    with pytest.raises(ValueError, match="there is no suite or file"):
        load(str(tmp_path))
