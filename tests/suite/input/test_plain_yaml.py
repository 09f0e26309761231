"""What YAML 1.1 would silently take for something else."""

import pytest

from suite.input import plain_yaml
from suite.spec import load

SUITE = """
suite: y
datasets:
  - synthetic: {users: 200}
models: [logistic]
protocols: [static]
attacks: [cosine]
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", r"line 3: key 'a' stands in line 1 already"),
        ("a: {b: 1, b: 1}\n", r"line 1: key 'b' stands in line 1 already"),
        ("a: 010\n", r"line 1: found 010, which YAML reads as an octal number"),
        ("x: 1\na: -017\n", r"line 2: found -017, which YAML reads as an octal number"),
        ("a: 1:30\n", r"found 1:30, which YAML reads as a base-60 number"),
        ("a: 1:30.5\n", r"found 1:30.5, which YAML reads as a base-60 number"),
        ("a: [yes]\n", r"found yes, which YAML reads as a truth value"),
        ("a: Off\n", r"found Off, which YAML reads as a truth value"),
    ],
)
def test_what_reads_as_something_else_is_refused_with_its_line(text, message):
    with pytest.raises(ValueError, match=message) as refusal:
        plain_yaml.load(text)
    assert "\n" not in str(refusal.value)


def test_plain_data_is_read_as_it_stands():
    text = "a: 10\nb: [true, False]\nc: '010'\nd: 0.5\ne: 1e-3\nf: 'yes'\ng: 0\nh: 0x1F\n"
    found = plain_yaml.load(text)
    expected = {"a": 10, "b": [True, False], "c": "010", "d": 0.5, "f": "yes", "g": 0, "h": 31}
    assert {key: found[key] for key in expected} == expected


def test_a_merged_mapping_may_be_overridden():
    found = plain_yaml.load("base: &base {a: 1, b: 2}\nown:\n  <<: *base\n  b: 3\n")
    assert found["own"] == {"a": 1, "b": 3}


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("models: [mlp]", r"y\.yaml: line 8: key 'models' stands in line 5 already"),
        ("seeds: [010]", r"y\.yaml: line 8: found 010"),
        ("holdout_users: 1:30", r"y\.yaml: line 8: found 1:30"),
    ],
)
def test_a_suite_file_names_the_line(tmp_path, line, message):
    file = tmp_path / "y.yaml"
    file.write_text(SUITE + line + "\n")
    with pytest.raises(ValueError, match=message):
        load(str(file))


@pytest.mark.parametrize("given", ["seeds=[010]", "training.epochs=1:30", "tasks=yes"])
def test_a_key_set_on_the_command_line_is_read_alike(given):
    with pytest.raises(ValueError, match=r"^--set .*: found .*, which YAML reads as"):
        load("quick", [given])
