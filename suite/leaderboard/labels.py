"""Tables of a multi-task suite: by label with claims, by category, and of distilled models."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import chain
from statistics import fmean
from typing import Any

from suite.artifacts.figures import MEAN, LabelFigures
from suite.leaderboard.claims import Claims
from suite.leaderboard.sections import Point, Section
from suite.parts import Part

BASELINE, READER = "nn_classifier", "text_nn"
"""Baseline of the gains, and the text model whose gain a student is compared with."""

PLOTTED = "retweet"
"""Label whose gains are plotted by category if it exists, as in the recsys2021 claims."""


@dataclass(frozen=True)
class Entry:
    """Figures of one fitted model.

    Attributes
    ----------
    names
        ``dataset, synthetic, model, seed``; with several seeds also ``seeds``, their number.
    model
        The model's name and parameters.
    tasks
        Figures by label.
    """

    names: dict[str, Any]
    model: Part
    figures: LabelFigures

    def mean(self, key: str) -> float | None:
        """Mean of ``ap`` or ``auc`` over the labels, before any fine-tuning."""
        means = (
            row[key]
            for row in self.figures.rows
            if row["label"] == MEAN and row["stage"] == "fitted"
        )
        return next(means, None)

    @property
    def is_of_one_label(self) -> bool:
        """Whether the model predicts ``engaged`` only."""
        return {row["label"] for row in self.figures.rows} == {"engaged", MEAN}

    @property
    def by_label(self) -> list[dict[str, Any]]:
        """Rows of the labels, without their mean if ``engaged`` is the only one."""
        return [r for r in self.figures.rows if not (self.is_of_one_label and r["label"] == MEAN)]

    @property
    def is_student(self) -> bool:
        """Whether the text encoder was distilled."""
        return str(self.model.parameters.get("student", "none")) != "none"


def sections(entries: list[Entry], claimed: Claims | None) -> list[Section]:
    """Make the tables that the entries allow; each figure is the mean over its seeds.

    An interval is the mean of the seeds' bounds. Without entries there is no table.
    """
    if not entries:
        return []
    entries = _over_seeds(entries)
    return [
        _by_label(entries, claimed),
        _by_category(entries),
        _kept(entries),
        _pretraining(entries),
    ]


def _over_seeds(entries: list[Entry]) -> list[Entry]:
    """Merge the seeds of each dataset and model by averaging figures and bounds."""
    groups: dict[tuple[str, str], list[Entry]] = {}
    for entry in entries:
        groups.setdefault((entry.names["dataset"], entry.names["model"]), []).append(entry)
    merged = []
    for group in groups.values():
        seeds = [entry.figures for entry in group]
        means = LabelFigures(
            rows=_mean_rows(figures.rows for figures in seeds),
            by_category=_mean_rows(figures.by_category for figures in seeds),
            facts={
                name: fmean(figures.facts[name] for figures in seeds) for name in seeds[0].facts
            },
            num_parameters=round(fmean(figures.num_parameters for figures in seeds)),
        )
        merged.append(Entry({**group[0].names, "seeds": len(group)}, group[0].model, means))
    return merged


def _mean_rows(of_seeds: Iterable[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """Average the rows that are equal in their text columns."""
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for row in chain.from_iterable(of_seeds):
        texts = tuple(value for value in row.values() if isinstance(value, str))
        groups.setdefault(texts, []).append(row)
    return [
        {k: v if isinstance(v, str) else fmean(r[k] for r in same) for k, v in same[0].items()}
        for same in groups.values()
    ]


def _by_label(entries: list[Entry], claimed: Claims | None) -> Section:
    """Make one line per label, source, stage and model; claimed lines are marked."""
    lines: dict[str, list[tuple[str, ...]]] = {}
    for claim in claimed.tasks if claimed is not None else ():
        rce = f"{claim.rce:.2f}" + (f" ({claim.note})" if claim.note else "")
        names = (f"claimed: {claim.table}", claim.stage, claim.method, "")
        lines.setdefault(claim.label, []).append((*names, f"{claim.ap:.4f}", rce))
    for entry in entries:
        source = entry.names["dataset"] + (" (synthetic)" if entry.names["synthetic"] else "")
        for row in entry.by_label:
            names = (source, row["stage"], entry.names["model"], str(entry.names["seeds"]))
            figures = (_interval(row, "ap", 3), _interval(row, "rce", 1))
            lines.setdefault(row["label"], []).append((*names, *figures))
    ordered = [label for label in lines if label != MEAN] + [MEAN]
    return Section(
        title="AP and RCE of each label on test, claimed and measured; mean: all but engaged",
        header=("label", "source", "stage", "model", "seeds", "AP", "RCE"),
        lines=tuple((label, *line) for label in ordered for line in lines.get(label, [])),
        points=tuple(
            Point(
                group=f"{entry.names['dataset']}: {row['label']}",
                name=entry.names["model"],
                value=row["ap"],
                low=row["ap_low"],
                high=row["ap_high"],
            )
            for entry in entries
            for row in entry.by_label
            if row["stage"] == "fitted"
        ),
    )


def _by_category(entries: list[Entry]) -> Section:
    """Figures by item category (for recsys2021 the language), and the gain over the baseline.

    Every model has the mean over the labels; those that read texts also have each label.
    """
    lines, points = [], []
    for entry, base in _with_baseline(e for e in entries if not e.is_of_one_label):
        before = {(row["category"], row["label"]): row for row in base.figures.by_category}
        rows = entry.figures.by_category
        plotted = PLOTTED if any(row["label"] == PLOTTED for row in rows) else MEAN
        for row in rows:
            if row["label"] != MEAN and entry.model.name != READER:
                continue
            names = (str(entry.names[key]) for key in ("dataset", "model", "seeds"))
            figures = [f"{row['ap']:.3f}", "", f"{row['rce']:.1f}", ""]
            baseline = before.get((row["category"], row["label"]))
            if baseline is not None and entry is not base:
                gain = 100 * (row["ap"] / baseline["ap"] - 1)
                figures[1::2] = f"{gain:+.1f} %", f"{row['rce'] - baseline['rce']:+.1f}"
                if row["label"] == plotted:
                    group = f"{entry.names['dataset']}: {row['category']}, {plotted}"
                    points.append(Point(group=group, name=entry.names["model"], value=gain))
            lines.append((*names, row["category"], row["label"], f"{row['events']:,.0f}", *figures))
    return Section(
        title=f"AP and RCE by category (recsys2021: language), and the gain over {BASELINE}",
        header=(
            *("dataset", "model", "seeds", "category", "label", "events"),
            *("AP", "gain", "RCE", "gain"),
        ),
        lines=tuple(lines),
        points=tuple(points),
    )


def _kept(entries: list[Entry]) -> Section:
    """Size of each text model, and its gain as a share of the full one's."""
    lines = []
    for entry, base in _with_baseline(entries):
        full = next(
            (e for e in entries if e.model.name == READER and not e.is_student and _same(e, entry)),
            None,
        )
        if entry.model.name != READER or full is None:
            continue
        names = (str(entry.names[key]) for key in ("dataset", "model", "seeds"))
        figures = (text for key in ("ap", "auc") for text in _share(key, entry, full, base))
        lines.append((*names, f"{entry.figures.num_parameters:,}", *figures))
    return Section(
        title=f"distillation: gains over {BASELINE}, as a share of the full encoder's",
        header=(
            *("dataset", "model", "seeds", "parameters"),
            *("mean AP", "gain", "kept", "mean AUC", "gain", "kept"),
        ),
        lines=tuple(lines),
    )


def _share(key: str, entry: Entry, full: Entry, base: Entry) -> tuple[str, str, str]:
    """Format a value, its gain over the baseline, and the gain's share of the full encoder's."""
    value, best, before = (e.mean(key) or 0.0 for e in (entry, full, base))
    gain, whole = value - before, best - before
    share = f"{100 * gain / whole:.0f} %" if whole > 0 else "no gain to keep"
    return f"{value:.3f}", f"{gain:+.3f}", share


def _pretraining(entries: list[Entry]) -> Section:
    lines = (
        (
            *(str(entry.names[key]) for key in ("dataset", "model", "seeds")),
            name.rpartition("/")[2].replace("_", " "),
            f"{value:.4g}",
        )
        for entry in entries
        for name, value in entry.figures.facts.items()
    )
    return Section(
        title="pretraining on the data's own texts",
        header=("dataset", "model", "seeds", "what", "value"),
        lines=tuple(lines),
    )


def _with_baseline(entries: Iterable[Entry]) -> Iterable[tuple[Entry, Entry]]:
    """Pair each entry with the first baseline of several labels on the same data."""
    listed = list(entries)
    for entry in listed:
        for base in listed:
            if base.model.name == BASELINE and not base.is_of_one_label and _same(base, entry):
                yield entry, base
                break


def _same(one: Entry, other: Entry) -> bool:
    return bool(one.names["dataset"] == other.names["dataset"])


def _interval(row: dict[str, Any], key: str, digits: int) -> str:
    value, low, high = (f"{row[name]:.{digits}f}" for name in (key, f"{key}_low", f"{key}_high"))
    return f"{value} [{low}, {high}]"
