"""The shape of the repository, which no single module can see."""

from __future__ import annotations

import ast
import io
import json
import re
import shutil
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Collection
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

from tests.commandline import commands

ROOT = Path(__file__).parent.parent
PACKAGES = ("suite", "models", "attacks", "tuning")

OPTIONS = {
    "run": {"--address", "--dry-run", "--set", "--storage", "--tracking-uri"},
    "audit": {
        "--attack",
        "--attribute",
        "--background",
        "--defense",
        "--fail-above-lift",
        "--fail-above-top1",
        "--forecast-to",
        "--out",
        "--replicates",
        "--role",
        "--seed",
        "--session",
        "--time",
        "--user",
        "--vector",
    },
    "advise": {
        "--apply",
        "--certified",
        "--label",
        "--max-lift",
        "--out",
        "-o",
        "--releases",
        "--role",
        "--seed",
        "--session",
        "--time",
        "--user",
        "--vector",
    },
    "tune": {
        "--address",
        "--concurrency",
        "--model",
        "--objective",
        "--scheduler",
        "--search",
        "--set",
        "--storage",
        "--tracking-uri",
        "--trials",
    },
    "leaderboard": {"--format", "--storage"},
    "list": set(),
    "doctor": {"--storage"},
    "data check": {"--set"},
    "data simulate": {"--drift", "--history-days", "--identity", "--seed", "--users"},
}
"""The command line is frozen: what is new belongs into the suite file."""

ONLY_IN = {
    "mlflow": {"suite/publish/tracking.py"},
    "faiss": {"attacks/ranks/neighbors.py"},
    "ray.train": {"suite/steps/fit.py"},
    "ray.tune": {"tuning/schedulers.py", "tuning/search.py"},
}


def sources() -> list[Path]:
    return sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))


def named(path: Path) -> set[str]:
    """Modules that a file's import statements name, and names that may be modules."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found |= {str(node.module)} | {f"{node.module}.{alias.name}" for alias in node.names}
    return found


def needed(path: Path, modules: Collection[str]) -> set[str]:
    """Which modules a file's imports name: ``from a import b`` is a.b where that is a module."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            inside = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inside if inside <= set(modules) else inside | {str(node.module)}
    return found & set(modules)


def imported(path: Path) -> set[str]:
    """Modules that a file imports at run time, with all that contain them."""
    return {
        ".".join(name.split(".")[: i + 1])
        for name in named(path)
        for i in range(name.count(".") + 1)
    }


def code_lines(path: Path) -> int:
    """Lines with code on them: no comment, no docstring, nothing blank."""
    text = path.read_text()
    quiet = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type not in quiet | {tokenize.ENDMARKER}:
            lines |= set(range(token.start[0], token.end[0] + 1))
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant):
            lines -= set(range(node.lineno, (node.end_lineno or node.lineno) + 1))
    return len(lines)


def test_folders_of_settings_hold_no_python():
    for folder in ("mlflow", "docker", "k8s"):
        assert list((ROOT / folder).rglob("*.py")) == []


def test_mlflow_is_the_library_from_the_root_of_the_repository(shell):
    done = shell("-c", "import mlflow; print(hasattr(mlflow, 'log_metric'))", cwd=str(ROOT))
    assert done.out.strip() == "True", done.err


def test_the_layers_hold():
    command = [str(Path(sys.executable).with_name("lint-imports"))]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_module_imports_itself_through_others():
    names = {}
    for path in sources():
        place = path.relative_to(ROOT).with_suffix("")
        names[".".join(place.parts).removesuffix(".__init__")] = path
    # Imports inside functions and for type checkers count as well; a circle raises CycleError.
    needs = {name: needed(path, names) - {name} for name, path in names.items()}
    assert len(list(TopologicalSorter(needs).static_order())) == len(names)


@pytest.mark.parametrize("library", ONLY_IN)
def test_a_library_is_imported_where_it_belongs_and_nowhere_else(library):
    found = {str(p.relative_to(ROOT)) for p in sources() if library in imported(p)}
    assert found <= ONLY_IN[library]
    expected = {name for name in ONLY_IN[library] if (ROOT / name).exists()}
    assert found == expected


def test_no_file_is_longer_than_400_lines():
    files = [*sources(), *(ROOT / "tests").rglob("*.py")]
    lengths = {str(p.relative_to(ROOT)): len(p.read_text().splitlines()) for p in files}
    assert {name: n for name, n in lengths.items() if n > 400} == {}


def test_folders_of_suite_stay_small():
    """At most 12 files at one level, 8 at the top; each dataset adds one to its folder."""
    folders = [ROOT / "suite", *(path for path in (ROOT / "suite").rglob("*") if path.is_dir())]
    counts = {str(path.relative_to(ROOT)): len(list(path.glob("*.py"))) for path in folders}
    assert counts.pop("suite") <= 8
    large = {name: n for name, n in counts.items() if n > 12 and "datasets" not in name}
    assert large == {}


def test_the_file_to_read_first_is_under_a_hundred_lines_of_code():
    assert code_lines(ROOT / "suite" / "pipeline.py") < 100


def test_sources_are_plain_ascii():
    assert [str(path) for path in sources() if not path.read_text().isascii()] == []


def test_the_flags_of_the_command_line_are_frozen():
    found = {
        name: {
            flag
            for option in command.params
            for flag in (*option.opts, *option.secondary_opts)
            if flag.startswith("-") and not flag.startswith("--no-")
        }
        for name, command in commands().items()
    }
    assert found == OPTIONS


def test_every_command_and_flag_says_what_it_is_for():
    for name, command in commands().items():
        assert command.help, name
        for option in command.params:
            assert getattr(option, "help", None), f"{name} {option.name}"


@pytest.mark.parametrize("arguments", [["--help"], ["run", "--help"], ["data", "--help"]])
def test_help_loads_nothing_heavy(shell, arguments):
    program = (
        "import json, sys\n"
        "from suite import cli\n"
        "try:\n"
        "    cli.main()\n"
        "finally:\n"
        "    heavy = {'torch', 'ray', 'polars', 'mlflow', 'numpy', 'sklearn'}\n"
        "    print(json.dumps(sorted(heavy & set(sys.modules))))\n"
    )
    done = shell("-c", program, *arguments)
    assert (done.code, done.err) == (0, "")
    assert "Usage: " in done.out
    assert json.loads(done.out.splitlines()[-1]) == []


def test_the_changelogs_newest_version_is_the_projects():
    with (ROOT / "pyproject.toml").open("rb") as file:
        version = tomllib.load(file)["project"]["version"]
    (newest, *_) = re.findall(r"^## (\S+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert newest == version


CHANCE = '''
import numpy as np

from attacks.base import Attack


class Chance(Attack):
    """Names nobody in particular."""

    def embed(self, vectors):
        return np.zeros_like(vectors)
'''

CARELESS = '''
from attacks.defenses.base import Defense


class Careless(Defense):
    """Doubles, in place."""

    def apply(self, released, rng):
        released.vectors[:] *= 2
        return released.vectors
'''


def test_a_file_put_into_its_folder_is_found_and_tested_without_an_edit(tmp_path, shell):
    for package in PACKAGES:
        shutil.copytree(ROOT / package, tmp_path / package)
    (tmp_path / "tests").mkdir()
    copied = ("tests/conftest.py", "tests/parts.py", "tests/test_contracts.py", "pyproject.toml")
    for file in copied:
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "attacks" / "chance.py").write_text(CHANCE)
    (tmp_path / "attacks" / "defenses" / "careless.py").write_text(CARELESS)
    options = ("-k", "chance] or careless]", "-p", "no:cacheprovider", "--tb=no", "-rA")
    here = {"cwd": str(tmp_path), "PYTHONPATH": str(tmp_path)}
    done = shell("-m", "pytest", *options, "tests/test_contracts.py", **here)
    found = re.findall(r"^(PASSED|FAILED) tests/test_contracts.py::(\S+)", done.out, re.MULTILINE)
    assert done.code == 1, done.err
    failed = {test for word, test in found if word == "FAILED"}
    # Guessing names nobody and cites nothing; the careless defense changes its input.
    assert failed == {
        "test_an_attack_says_where_it_comes_from[chance]",
        "test_an_attack_finds_everyone_who_is_unmistakable_or_the_gallery_itself[chance]",
        "test_the_order_of_the_gallery_users_does_not_matter[chance]",
        "test_a_defense_keeps_length_type_and_input_and_repeats_itself[shape0-careless]",
        "test_a_defense_keeps_length_type_and_input_and_repeats_itself[shape1-careless]",
    }
    assert ("PASSED", "test_an_attack_on_noise_is_as_good_as_chance[chance]") in found
