"""The leaderboard as CSV, Markdown and terminal output.

Lift grows with N by construction, so rows are ranked by lift only within one dataset, protocol and
N, which are in the title of each group along with chance. Rows that differ only in the seed are
shown as one line; CSV and JSON have every row.
"""

from __future__ import annotations

import csv as csv_format
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from statistics import fmean, stdev
from typing import Any, TextIO

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from suite.input.allowed import counted
from suite.leaderboard.claims import claims
from suite.leaderboard.rows import Leaderboard, Row
from suite.leaderboard.sections import Section

WIDTH = 120

TINY = 1e-6
"""Smaller figures are shown as 0: the lower end of an interval may be 1e-17."""

EXPLANATION = (
    "[a, b]: 95 % interval over users; with several seeds, the mean of the seeds' bounds. "
    "sd: standard deviation over seeds. x raw: lift divided by that of the strongest attack on the "
    "model's own inputs in the same protocol, over blocks of inputs and the suite's plain attacks, "
    "selected on validation; above 1 by more than the two intervals allow, the model amplifies "
    "what its inputs reveal."
)

REFITTED = (
    "AUC of anything but a model's undefended vectors: that of a logistic regression fitted on "
    "what is released or, where that is better on validation, of the model's own head on it; both "
    "are in the CSV and JSON (auc_refitted, auc_own_head)."
)

REPEATED = (
    "m: releases of each vector, noise drawn anew for each, that the attacker averages; all: as "
    "many as its user has events in the window. The AUC is that of one release."
)

BOUNDED = (
    "(<= x): no attacker names users, each equally likely, at a lift above x, whatever it knows; "
    "bound_reason in the CSV and JSON says why other defenses have no such bound."
)

MARKED = (
    "per user: lift and interval over users with equal weight, shown first if a few active users "
    "dominate the lift over probes or the AUC, so that its interval may cover less often than 95 % "
    "(interval_reason in the CSV and JSON)."
)

NAMES = ("model", "release", "defense", "attack")
OBSERVED = {"releases_m": "m", "attacker_holds": "attacker holds"}
"""Keys that are shown where they differ between defended rows, and their columns."""

NUMBERS = ("lift", "x raw", "top-1", "AUC")
SEEDS = ("seeds", "lift sd", "AUC sd")


@dataclass(frozen=True)
class Line:
    """One or more done rows that differ only in the seed.

    Attributes
    ----------
    num_seeds
        Number of seeds in the suite, failed ones included.
    """

    rows: tuple[Row, ...]
    num_seeds: int

    def values(self, key: str) -> list[float]:
        """Values of a metric, one per seed that has it."""
        return [value for row in self.rows if (value := getattr(row, key)) is not None]

    def mean(self, key: str) -> float | None:
        """Mean of a metric over the seeds; None if no seed has it."""
        values = self.values(key)
        return fmean(values) if values else None

    def spread(self, key: str) -> float | None:
        """Sample standard deviation of a metric over the seeds; None with fewer than two."""
        values = self.values(key)
        return stdev(values) if len(values) > 1 else None

    @property
    def amplification(self) -> float | None:
        """Lift relative to the strongest attack on the inputs; above 1 the model amplifies it."""
        lift, raw = self.mean("lift"), self.mean("raw_lift")
        return lift / raw if lift is not None and raw else None

    def cells(self, *, seeds: bool, observed: Sequence[str] = ()) -> list[str]:
        """Return texts under ``NAMES + NUMBERS``, with ``seeds`` also under ``SEEDS``.

        In between stand those of the keys ``observed``.
        """
        row = self.rows[0]
        texts = [
            *(row.model, row.release, row.defense, row.attack),
            *("" if getattr(row, key) is None else str(getattr(row, key)) for key in observed),
            self._lift() + self._bound(),
            _two_decimals(self.amplification),
            _percent(self.mean("top1")),
            self._interval("auc", _rate),
        ]
        if seeds:
            texts += [
                f"{len(self.rows)} of {self.num_seeds}",
                _figure(self.spread("lift")),
                _rate(self.spread("auc")),
            ]
        return texts

    @property
    def is_reliable(self) -> bool:
        """Whether no row has an unreliable interval over probes or events."""
        return all(row.interval != "unreliable" for row in self.rows)

    def _bound(self) -> str:
        bound = self.mean("bound_lift")
        return "" if bound is None else f" (<= {_figure(bound)})"

    def _lift(self) -> str:
        """Lift over probes, preceded by the lift over users if its interval is unreliable."""
        keys = ("per_user_top1", "per_user_top1_low", "per_user_top1_high", "num_gallery")
        over_users, low, high, size = map(self.mean, keys)
        if self.is_reliable or over_users is None or low is None or high is None or size is None:
            return self._interval("lift", _figure)
        bounds = f"[{_figure(size * low)}, {_figure(size * high)}]"
        return f"{_figure(size * over_users)} {bounds} per user; {_figure(self.mean('lift'))}"

    def _interval(self, key: str, form: Callable[[float | None], str]) -> str:
        low, high = self.mean(f"{key}_low"), self.mean(f"{key}_high")
        text = form(self.mean(key))
        return text if low is None or high is None else f"{text} [{form(low)}, {form(high)}]"


@dataclass(frozen=True)
class Group:
    """Lines comparable by lift: one dataset, protocol and N; in descending order of lift."""

    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Dataset, protocol, N, chance and numbers of events."""
        row = self.lines[0].rows[0]
        parts = [row.dataset + (" (synthetic users)" if row.synthetic else ""), row.protocol]
        if row.num_gallery is not None:
            parts.append(f"N = {row.num_gallery:,}")
        if row.chance is not None:
            parts.append(f"chance {_percent(row.chance)}")
        if row.num_probes is not None:
            parts.append(counted(row.num_probes, "probe"))
        if row.num_dropped is not None:
            parts.append(f"{counted(row.num_dropped, 'event')} dropped")
        return ", ".join(parts)


def groups(rows: Sequence[Row]) -> list[Group]:
    """Group the done rows by dataset, protocol and N, in descending order of mean lift."""
    num_seeds = Counter(map(_apart_from_seed, rows))
    done = [row for row in rows if row.status == "done"]
    grouped = []
    for _, members in _by(done, _comparable):
        lines = [Line(tuple(same), num_seeds[key]) for key, same in _by(members, _apart_from_seed)]
        lines.sort(key=lambda line: -(line.mean("lift") or 0.0))
        grouped.append(Group(tuple(lines)))
    return grouped


def _comparable(row: Row) -> tuple[Any, ...]:
    return row.dataset, row.synthetic, row.protocol, row.num_gallery or 0


def _apart_from_seed(row: Row) -> tuple[Any, ...]:
    keys = ("dataset", "synthetic", "protocol", "release", "model", "defense", "attack")
    return (*(getattr(row, key) for key in keys), *row.observed)


def _by(
    rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    for value, members in groupby(sorted(rows, key=key), key=key):
        yield value, list(members)


def sections(board: Leaderboard) -> list[Section]:
    """Make the tables of measured groups, analyses, failed cells and claims, in that order."""
    seeds, observed = len({row.seed for row in board.rows}) > 1, _observed(board)
    tables = [
        _section(group.title, group.lines, seeds=seeds, observed=observed)
        for group in groups(board.rows)
    ]
    tables += [*_strongest_on_inputs(board), *board.analyses]
    if board.failed:
        keys = ("dataset", "protocol", *NAMES, *observed, "seed", "reason")
        # A reason may be very long; JSON and CSV have it in full.
        failed = (tuple(f"{getattr(row, key)!s:.300}" for key in keys) for row in board.failed)
        tables.append(
            Section(title=f"failed cells: {len(board.failed)}", header=keys, lines=tuple(failed))
        )
    claimed = claims(board.suite)
    if claimed is not None:
        tables += [
            _section(f"claimed, not measured: {group.title}", group.lines, seeds=False)
            for group in groups(claimed.rows)
        ]
        quoted = tuple((b.method, b.metric, str(b.value), b.note) for b in claimed.benchmarks)
        header = ("method", "metric", "value", "note")
        if quoted:
            tables.append(Section(title="claimed of others", header=header, lines=quoted))
    return tables


def _strongest_on_inputs(board: Leaderboard) -> Iterator[Section]:
    """List the strongest attack on each model's inputs, which "x raw" is relative to."""
    lines = {
        (row.dataset, row.protocol, row.model, row.raw_by, _figure(row.raw_lift)): None
        for row in board.rows
        if row.raw_by is not None
    }
    if lines:
        header = ("dataset", "protocol", "model", "block, attack", "lift")
        title = "strongest attack on each model's inputs, selected on validation"
        yield Section(title=title, header=header, lines=tuple(lines))


def _observed(board: Leaderboard) -> list[str]:
    """Keys of ``OBSERVED`` that tell defended rows apart."""
    values = {key: {getattr(row, key) for row in board.rows} - {None} for key in OBSERVED}
    return [key for key, found in values.items() if len(found) > 1]


def _section(
    title: str, lines: Iterable[Line], *, seeds: bool, observed: Sequence[str] = ()
) -> Section:
    columns = tuple(OBSERVED[key] for key in observed)
    header = (*NAMES, *columns, *NUMBERS, *(SEEDS if seeds else ()))
    cells = tuple(tuple(line.cells(seeds=seeds, observed=observed)) for line in lines)
    return Section(title=title, header=header, lines=cells)


def title(board: Leaderboard) -> str:
    """Return the suite, the number of finished cells, and whether users are simulated."""
    done = len(board.rows) - len(board.failed)
    text = f"{board.suite}: {done} of {len(board.rows)} cells done"
    return f"{text}; SYNTHETIC users, not real ones" if board.synthetic else text


def notes(board: Leaderboard) -> list[str]:
    """Return explanations of the columns and of missing figures, and the caveats of claims."""
    claimed = claims(board.suite)
    refitted = any(row.auc_refitted is not None for row in board.rows)
    marked = any(row.interval == "unreliable" for row in board.rows)
    return [
        EXPLANATION,
        *([MARKED] if marked else []),
        *([REFITTED] if refitted else []),
        *([BOUNDED] if any(row.bound_lift is not None for row in board.rows) else []),
        *([REPEATED] if "releases_m" in _observed(board) else []),
        *_below_chance(board),
        *([f"Claimed by {claimed.source}. {claimed.note}"] if claimed else []),
    ]


def _below_chance(board: Leaderboard) -> Iterator[str]:
    """Name the rows with a lift below chance, interval included."""
    below = [
        f"{row.model} {row.release}, {row.protocol}, {row.defense}, {row.attack}, seed {row.seed}"
        for row in board.rows
        if row.lift_high is not None and row.lift_high < 1
    ]
    if below:
        listed = "; ".join(below)
        yield (
            f"Below chance, including the interval: {listed}. This is not a sign of anonymity: "
            "something other than identity, such as a defense or the assignment of events to "
            "gallery and probes, determines the matches."
        )


def csv(board: Leaderboard) -> str:
    """Format all rows with all keys; a null is an empty field."""
    text = io.StringIO()
    writer = csv_format.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in board.rows)
    return text.getvalue()


def markdown(board: Leaderboard) -> str:
    """Format all sections as pipe tables."""
    parts = [f"# {title(board)}"]
    for section in sections(board):
        rows = [section.header, ["---"] * len(section.header), *section.lines]
        parts += [f"## {section.title}", "\n".join(map(_pipes, rows))]
    return "\n\n".join([*parts, *notes(board), f"Digest `{board.digest}`"]) + "\n"


def _pipes(cells: Sequence[str]) -> str:
    escaped = (cell.replace("|", "\\|").replace("\n", " ") for cell in cells)
    return f"| {' | '.join(escaped)} |"


def show(board: Leaderboard, file: TextIO | None = None) -> None:
    """Print all sections; without a terminal as plain text, 120 columns wide."""
    console = Console(file=file)
    if not console.is_terminal:
        console.width = WIDTH
    # Text, not str: rich would parse brackets in an interval or a reason as markup.
    console.print(Text(title(board), style="bold"))
    for section in sections(board):
        console.print()
        console.print(Text(section.title, style="bold"))
        console.print(_grid(section))
    for note in notes(board):
        console.print(Text(note, style="dim"))


def _grid(section: Section) -> Table:
    table = Table(box=box.SIMPLE_HEAD, padding=0, show_edge=False)
    for name in section.header:
        if name in NUMBERS + SEEDS:
            table.add_column(name, justify="right", no_wrap=True)
        else:
            table.add_column(name, overflow="fold")
    for line in section.lines:
        table.add_row(*map(Text, line))
    return table


def _percent(value: float | None) -> str:
    return "" if value is None else f"{_figure(100 * value)} %"


def _rate(value: float | None) -> str:
    return "" if value is None else f"{value:.3f}"


def _two_decimals(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"


def _figure(value: float | None) -> str:
    if value is None:
        return ""
    if abs(value) < TINY:
        value = 0.0
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:#.3g}".rstrip(".")
