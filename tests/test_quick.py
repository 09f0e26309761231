"""The quick suite from end to end, made small: what a first user sees, and sees again."""

import csv
import io
import json
import re
import sqlite3
from collections import Counter
from types import SimpleNamespace

import pytest

from suite.execute.timeline import Timeline
from suite.leaderboard.rows import Leaderboard
from tests.processes import finish

pytestmark = pytest.mark.cluster

# DESIGN, section 8.
KEYS = """
dataset synthetic model seed release protocol defense attack releases_m attacker_holds status
reason auc auc_low auc_high ap f1 log_loss auc_own_head auc_refitted
top1 top1_low top1_high top5 top10 top20 mrr mrr_low mrr_high mean_rank
median_rank bits bits_low bits_high lift lift_low lift_high chance
bound_top1 bound_lift bound_reason raw_lift raw_by num_gallery
num_probes num_dropped num_users_always num_users_never per_user_top1 per_user_top1_low
per_user_top1_high interval interval_reason num_parameters fit_s represent_s attack_s digest
"""

SMALLER = [
    *("--set", "datasets.0.synthetic.users=300"),
    *("--set", "training.epochs=1"),
    *("--set", "bootstrap=200"),
]


@pytest.fixture(scope="module")
def quick(tmp_path_factory):
    """Run of the quick suite with fewer users and epochs."""
    storage = tmp_path_factory.mktemp("quick")
    ran = finish("run", "quick", "--storage", storage, *SMALLER)
    published = storage / "suites" / "quick"
    return SimpleNamespace(
        storage=storage,
        ran=ran,
        published=published,
        board=json.loads((published / "leaderboard.json").read_text()),
    )


def tracked(storage, query):
    with sqlite3.connect(f"file:{storage}/mlflow.db?mode=ro", uri=True) as database:
        found = database.execute(query).fetchall()
    database.close()
    return found


def test_every_cell_of_the_product_is_done_and_has_the_keys_of_the_design(quick):
    assert quick.ran.returncode == 0, quick.ran.stderr
    rows = quick.board["rows"]
    axes = ("model", "release", "protocol", "defense", "attack", "seed")
    cells = {tuple(row[axis] for axis in axes) for row in rows}
    assert cells == {
        (model, release, protocol, "none", attack, 0)
        for model in ("logistic", "mlp", "bilstm")
        for release in ("model", "raw", "context_only")
        for protocol in ("static", "rolling")
        for attack in ("cosine", "euclidean")
    }
    assert len(rows) == 36
    for row in rows:
        assert list(row) == KEYS.split()
        assert (row["status"], row["synthetic"]) == ("done", True)
        several = (row["model"], row["release"]) == ("bilstm", "raw")
        assert (row["reason"] or "").startswith("strongest on validation: ") == several
        assert (row["raw_lift"] is None) == (row["raw_by"] is None) == (row["release"] != "model")
        assert 0.5 < row["auc_high"] <= 1
        own, other = ("auc_own_head", "auc_refitted")[:: 1 if row["release"] == "model" else -1]
        assert row[own] == pytest.approx(row["auc"])
        assert (row[other] is None) == (row["release"] != "model")
        assert row["releases_m"] is row["attacker_holds"] is None
        assert row["lift_low"] <= row["lift"] <= row["lift_high"]
        assert row["lift"] == pytest.approx(row["top1"] * row["num_gallery"])


def test_what_is_printed_names_every_line_and_says_that_the_users_are_simulated(quick):
    assert "36 of 36 cells done; SYNTHETIC users" in quick.ran.stdout
    assert len(re.findall(r"^(?:logistic|mlp|bilstm) ", quick.ran.stdout, re.MULTILINE)) == 36
    assert f"report: {quick.published}/leaderboard.html" in quick.ran.stdout
    # Not a terminal: plain lines of progress, on stderr, without control characters.
    assert "fit bilstm on synthetic, seed 0: epoch 1, loss " in quick.ran.stderr
    assert "\x1b" not in quick.ran.stderr + quick.ran.stdout


def test_the_report_is_one_page_that_loads_nothing(quick):
    page = (quick.published / "leaderboard.html").read_text()
    assert "default-src 'none'" in page
    assert page.count("<script") >= 1
    markup = re.sub(r"<(script|style).*?</\1>", "", page, flags=re.DOTALL)
    assert "SYNTHETIC" in markup.upper()
    assert not re.findall(r"""(?:src|href)\s*=\s*["']?(?!["']?(?:#|data:))""", markup)


def test_mlflow_holds_the_same_rows(quick):
    lifts = tracked(
        quick.storage,
        "select tags.value, metrics.value from tags join metrics using (run_uuid) "
        "where tags.key = 'latentprint.digest' and metrics.key = 'reid/lift'",
    )
    assert sorted(lifts) == sorted((row["digest"], row["lift"]) for row in quick.board["rows"])
    names = tracked(quick.storage, "select name, status, count(*) from runs group by 1, 2")
    assert ("quick", "FINISHED", 1) in names
    assert sum(count for *_, count in names) == 37


def test_mlflow_keeps_the_timeline_of_the_run_beside_the_page(quick):
    artifacts = {path.name: path for path in quick.storage.glob("mlartifacts/**/*.*")}
    assert {"leaderboard.html", "leaderboard.json"} < artifacts.keys()
    timeline = Timeline.from_json(artifacts["timeline.json"].read_text())
    assert timeline == Timeline.from_json((quick.published / "timeline.json").read_text())
    kinds = Counter(span.kind for span in timeline.spans)
    assert kinds["fit"] == 3
    # Those of the cells, and of their inputs on validation and by block.
    assert kinds["attack"] == 56
    # Of three models, of three kinds of inputs and of three contexts: protocols and attacks share.
    assert kinds["utility"] == 9
    assert 0 < timeline.idle < 1


def test_a_second_run_starts_no_ray_and_tracks_nothing_twice(quick):
    def files():
        return {path: path.stat().st_mtime_ns for path in quick.storage.glob("*/*/done.json")}

    tables = ("runs", "metrics", "params", "tags")
    before = [tracked(quick.storage, f"select * from {table}") for table in tables], files()
    # Whoever started Ray would go to this address, where nobody listens, and fail.
    again = finish("run", "quick", "--storage", quick.storage, *SMALLER, RAY_ADDRESS="127.0.0.1:1")
    assert again.returncode == 0, again.stderr
    assert again.stderr == f"quick: 36 cells, results in {quick.storage}\n"
    assert again.stdout == quick.ran.stdout
    after = [tracked(quick.storage, f"select * from {table}") for table in tables], files()
    assert after == before
    assert json.loads((quick.published / "leaderboard.json").read_text()) == quick.board


def test_a_dry_run_says_what_is_cached_and_what_a_change_would_cost(quick):
    options = ("run", "quick", "--dry-run", "--storage", quick.storage, *SMALLER)
    cached = finish(*options)
    assert cached.returncode == 0
    assert re.search(r"^36 cells, \d+ steps; to run: nothing$", cached.stdout, re.MULTILINE)
    changed = finish(*options, "--set", "bootstrap=50000")
    (to_run,) = re.findall(r"^36 cells, \d+ steps; to run: (.+)", changed.stdout, re.MULTILINE)
    # Random swaps compare models; no cell's figures depend on them.
    assert re.fullmatch(r"\d+ differences", to_run)


def test_the_formats_of_the_leaderboard_agree(quick):
    def printed(kind):
        options = ("--format", kind, "--storage", quick.storage)
        ran = finish("leaderboard", "quick", *options)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    assert Leaderboard.from_json(printed("json")).digest == quick.board["digest"]
    rows = list(csv.DictReader(io.StringIO(printed("csv"))))
    as_text = [
        {key: "" if value is None else str(value) for key, value in row.items()}
        for row in quick.board["rows"]
    ]
    assert rows == as_text
    lines = re.findall(r"^\| (?:logistic|mlp|bilstm) .*", printed("md"), re.MULTILINE)
    pipes = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    table = re.findall(r"^(?:logistic|mlp|bilstm) .*", printed("table"), re.MULTILINE)
    assert len(table) == len(pipes) == 36
    assert [re.sub(r"\s+", "", line) for line in table] == [
        re.sub(r"\s+", "", "".join(cells)) for cells in pipes
    ]


FAULTY = '''
import os
from attacks.base import Attack


class Raises(Attack):
    """Cannot do its work."""

    def fit(self, gallery, rng):
        raise ValueError("faulty.py: found [users], allowed: none")


class Dies(Attack):
    """Takes its process along."""

    def fit(self, gallery, rng):
        os._exit(1)
'''


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ("Raises", "faulty.py: found [users], allowed: none"),
        # Ray tries it three times more, each with a new process.
        pytest.param("Dies", "WorkerCrashedError: The worker died", marks=pytest.mark.slow),
    ],
)
def test_a_failed_cell_is_shown_with_its_reason_and_the_others_finish(fault, reason, tmp_path):
    (tmp_path / "faulty.py").write_text(FAULTY)
    (tmp_path / "faulty.yaml").write_text(
        f"""
        suite: faulty
        datasets: [synthetic: {{users: 100}}]
        models: [logistic]
        releases: [raw]
        protocols: [rolling]
        attacks: ["{tmp_path}/faulty.py:{fault}", cosine]
        bootstrap: 100
        """
    )
    storage = tmp_path / "runs"
    ran = finish("run", tmp_path / "faulty.yaml", "--storage", storage)
    assert ran.returncode == 1
    assert "1 of 2 cells done" in ran.stdout
    assert "failed cells: 1" in ran.stdout
    board = Leaderboard.from_json((storage / "suites/faulty/leaderboard.json").read_text())
    by_attack = {row.attack.rpartition(":")[2]: row for row in board.rows}
    assert by_attack["cosine"].status == "done"
    assert by_attack[fault].status == "failed"
    assert by_attack[fault].reason.startswith(reason)
    # Said once while it happens, whole; what Ray has to say stays out of the results.
    said = rf"^failed .*{fault}: {re.escape(by_attack[fault].reason)}$"
    assert len(re.findall(said, ran.stderr, re.MULTILINE)) == 1
    assert "raylet" not in ran.stdout
    statuses = tracked(storage, "select status, count(*) from runs group by 1 order by 1")
    # The cell, and the run that holds both.
    assert statuses == [("FAILED", 2), ("FINISHED", 1)]
