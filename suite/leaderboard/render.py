"""The leaderboard as people read it: CSV, Markdown, terminal.

Lift grows with N by construction, so rows are ranked by lift only within one data set, protocol
and N; these, with chance, stand in the title of each group. Rows that differ in nothing but the
seed are shown as one line; the rows themselves stay in the CSV and JSON.
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

from suite.leaderboard.claims import claims
from suite.leaderboard.rows import Leaderboard, Row
from suite.leaderboard.sections import Section

WIDTH = 120

TINY = 1e-6
"""Shown as 0: the lower end of an interval may be as small as 1e-17."""

READING = (
    "[a, b]: 95 % interval over users; with several seeds, the mean of the seeds' bounds. "
    "sd: standard deviation over seeds. x raw: lift divided by that of the strongest reading "
    "of the model's own inputs in the same protocol, over blocks of them and the suite's plain "
    "attacks, chosen on validation; above 1, by more than the two intervals allow, the model "
    "amplifies."
)

NO_UTILITY = (
    "No AUC under a defense: the model's scores do not pass through it, and those of undefended "
    "vectors would make any defense look free."
)

MARKED = (
    "per user: the lift and the interval over users, each counting once, shown first where a few "
    "active users decide the lift over probes or the AUC, so that its interval may cover too "
    "seldom (interval_reason in the CSV and JSON)."
)

NAMES = ("model", "release", "defense", "attack")
NUMBERS = ("lift", "x raw", "top-1", "AUC")
SEEDS = ("seeds", "lift sd", "AUC sd")


@dataclass(frozen=True)
class Line:
    """Done rows, at least one, that differ in nothing but the seed.

    Attributes
    ----------
    num_seeds
        Seeds that were asked for, failed ones included.
    """

    rows: tuple[Row, ...]
    num_seeds: int

    def values(self, key: str) -> list[float]:
        """One value of a metric per seed that has it."""
        return [value for row in self.rows if (value := getattr(row, key)) is not None]

    def mean(self, key: str) -> float | None:
        """Mean of a metric over the seeds; None where no seed has it."""
        values = self.values(key)
        return fmean(values) if values else None

    def spread(self, key: str) -> float | None:
        """Sample standard deviation of a metric over the seeds; None below two."""
        values = self.values(key)
        return stdev(values) if len(values) > 1 else None

    @property
    def amplification(self) -> float | None:
        """Lift relative to the strongest reading of the inputs; above 1 the model amplifies."""
        lift, raw = self.mean("lift"), self.mean("raw_lift")
        return lift / raw if lift is not None and raw else None

    def cells(self, *, seeds: bool) -> list[str]:
        """Return texts under ``NAMES + NUMBERS``, with ``seeds`` also under ``SEEDS``."""
        row = self.rows[0]
        texts = [
            *(row.model, row.release, row.defense, row.attack),
            self._lift(),
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
        """Whether no row's intervals over probes or events are marked."""
        return all(row.interval != "unreliable" for row in self.rows)

    def _lift(self) -> str:
        """Lift over probes; where its interval is unreliable the lift over users goes first."""
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
    """Lines that may be compared by lift: one data set, protocol and N; largest lift first."""

    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Data set, protocol, N, chance and the events behind them."""
        row = self.lines[0].rows[0]
        parts = [row.dataset + (" (synthetic users)" if row.synthetic else ""), row.protocol]
        if row.num_gallery is not None:
            parts.append(f"N = {row.num_gallery:,}")
        if row.chance is not None:
            parts.append(f"chance {_percent(row.chance)}")
        if row.num_probes is not None:
            parts.append(f"{row.num_probes:,} probes")
        if row.num_dropped is not None:
            parts.append(f"{row.num_dropped:,} events dropped")
        return ", ".join(parts)


def groups(rows: Sequence[Row]) -> list[Group]:
    """Group the done rows by data set, protocol and N; lines in order of their mean lift."""
    asked = Counter(map(_apart_from_seed, rows))
    done = [row for row in rows if row.status == "done"]
    found = []
    for _, members in _by(done, _comparable):
        lines = [Line(tuple(same), asked[key]) for key, same in _by(members, _apart_from_seed)]
        lines.sort(key=lambda line: -(line.mean("lift") or 0.0))
        found.append(Group(tuple(lines)))
    return found


def _comparable(row: Row) -> tuple[Any, ...]:
    return row.dataset, row.synthetic, row.protocol, row.num_gallery or 0


def _apart_from_seed(row: Row) -> tuple[Any, ...]:
    return tuple(
        getattr(row, key)
        for key in ("dataset", "synthetic", "protocol", "release", "model", "defense", "attack")
    )


def _by(
    rows: Iterable[Row], key: Callable[[Row], tuple[Any, ...]]
) -> Iterator[tuple[tuple[Any, ...], list[Row]]]:
    for found, members in groupby(sorted(rows, key=key), key=key):
        yield found, list(members)


def sections(board: Leaderboard) -> list[Section]:
    """Return the measured groups, what they say together, the failed cells, then the claims."""
    seeds = len({row.seed for row in board.rows}) > 1
    found = [_section(group.title, group.lines, seeds=seeds) for group in groups(board.rows)]
    found += [*_readings(board), *board.analyses]
    if board.failed:
        keys = ("dataset", "protocol", *NAMES, "seed", "reason")
        # A reason may be a whole file of text; the JSON and the CSV keep it.
        failed = (tuple(f"{getattr(row, key)!s:.300}" for key in keys) for row in board.failed)
        found.append(
            Section(title=f"failed cells: {len(board.failed)}", header=keys, lines=tuple(failed))
        )
    claimed = claims(board.suite)
    if claimed is not None:
        found += [
            _section(f"claimed, not measured: {group.title}", group.lines, seeds=False)
            for group in groups(claimed.rows)
        ]
        quoted = tuple((b.method, b.metric, str(b.value), b.note) for b in claimed.benchmarks)
        header = ("method", "metric", "value", "note")
        if quoted:
            found.append(Section(title="claimed of others", header=header, lines=quoted))
    return found


def _readings(board: Leaderboard) -> Iterator[Section]:
    """List how each model's inputs were read most strongly, which "x raw" is relative to."""
    known = {
        (row.dataset, row.protocol, row.model, row.raw_by, _figure(row.raw_lift)): None
        for row in board.rows
        if row.raw_by is not None
    }
    if known:
        header = ("dataset", "protocol", "model", "block, attack", "lift")
        title = "strongest reading of each model's inputs, chosen on validation"
        yield Section(title=title, header=header, lines=tuple(known))


def _section(title: str, lines: Iterable[Line], *, seeds: bool) -> Section:
    header = NAMES + NUMBERS + SEEDS if seeds else NAMES + NUMBERS
    cells = tuple(tuple(line.cells(seeds=seeds)) for line in lines)
    return Section(title=title, header=header, lines=cells)


def title(board: Leaderboard) -> str:
    """Suite, cells done and failed, and whether the users are simulated."""
    done = len(board.rows) - len(board.failed)
    text = f"{board.suite}: {done} of {len(board.rows)} cells done"
    return f"{text}; SYNTHETIC users, no claim about real ones" if board.synthetic else text


def notes(board: Leaderboard) -> list[str]:
    """Return how to read the columns, what is missing and why, and the caveats of claims."""
    claimed = claims(board.suite)
    undetermined = any(
        row.status == "done" and row.release == "model" and row.defense != "none"
        for row in board.rows
        if row.auc is None
    )
    marked = any(row.interval == "unreliable" for row in board.rows)
    return [
        READING,
        *([MARKED] if marked else []),
        *([NO_UTILITY] if undetermined else []),
        *_below_chance(board),
        *([f"Claimed by {claimed.source}. {claimed.note}"] if claimed else []),
    ]


def _below_chance(board: Leaderboard) -> Iterator[str]:
    """Name the rows that are worse than a guess, which no identity explains."""
    found = [
        f"{row.model} {row.release}, {row.protocol}, {row.defense}, {row.attack}, seed {row.seed}"
        for row in board.rows
        if row.lift_high is not None and row.lift_high < 1
    ]
    if found:
        listed = "; ".join(found)
        yield (
            f"Below chance, interval and all: {listed}. Something else than identity decides "
            "there, such as a defense, or how the events were dealt; it is no sign of anonymity."
        )


def csv(board: Leaderboard) -> str:
    """All rows with all keys; a null is an empty field."""
    text = io.StringIO()
    writer = csv_format.DictWriter(text, list(Row.model_fields), lineterminator="\n")
    writer.writeheader()
    writer.writerows(row.model_dump() for row in board.rows)
    return text.getvalue()


def markdown(board: Leaderboard) -> str:
    """All sections as pipe tables."""
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
    # Text, not str: rich would read the brackets of an interval or a reason as markup.
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
