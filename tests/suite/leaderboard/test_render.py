import csv
import io
import statistics

import pytest

from suite.leaderboard import render
from suite.leaderboard.rows import Leaderboard, Row


def row(**changes):
    base = {
        "dataset": "readers",
        "synthetic": False,
        "model": "mlp",
        "seed": 0,
        "release": "model",
        "protocol": "rolling",
        "defense": "none",
        "attack": "cosine",
        "status": "done",
        "auc": 0.7,
        "auc_low": 0.69,
        "auc_high": 0.71,
        "top1": 0.02,
        "lift": 20.0,
        "lift_low": 15.0,
        "lift_high": 26.0,
        "chance": 0.001,
        "raw_lift": 10.0,
        "num_gallery": 1000,
        "num_probes": 12345,
        "num_dropped": 67,
    }
    values = {**base, **changes}
    if changes.get("lift") is not None:  # with what else follows from it
        values |= dict.fromkeys(("lift_low", "lift_high")) | changes
        values["top1"] = changes["lift"] * values["chance"]
    return Row(**values, digest=str(sorted((k, str(v)) for k, v in values.items())))


def failed(**changes):
    nothing = dict.fromkeys(
        [
            *("auc", "auc_low", "auc_high", "top1", "lift", "lift_low", "lift_high"),
            *("chance", "raw_lift", "num_gallery", "num_probes", "num_dropped"),
        ]
    )
    return row(**nothing, **{"status": "failed", "reason": "out of [/memory]", **changes})


def board(*rows, suite="tiny"):
    return Leaderboard(suite=suite, rows=rows)


def shown(leaderboard):
    text = io.StringIO()
    render.show(leaderboard, text)
    return text.getvalue()


def test_rows_of_different_n_are_never_in_one_ranking():
    rows = [
        row(num_gallery=n, protocol=protocol, lift=lift, attack=attack)
        for n, lift in ((100, 5.0), (1000, 50.0))
        for protocol in ("rolling", "static")
        for attack in ("cosine", "euclidean")
    ]
    for group in render.groups(rows):
        members = [member for line in group.lines for member in line.rows]
        assert len({(member.protocol, member.num_gallery) for member in members}) == 1
    assert len(render.groups(rows)) == 4


def test_the_largest_lift_comes_first():
    rows = [row(model=f"m{lift}", lift=float(lift)) for lift in (3, 70, 0, 12)]
    (group,) = render.groups(rows)
    assert [line.rows[0].lift for line in group.lines] == [70, 12, 3, 0]


def test_seeds_become_one_line_with_mean_and_spread():
    lifts = [18.0, 20.0, 25.0]
    rows = [
        row(seed=seed, lift=lift, lift_low=lift - 2, lift_high=lift + 4)
        for seed, lift in enumerate(lifts)
    ]
    (group,) = render.groups(rows)
    (line,) = group.lines

    assert line.mean("lift") == pytest.approx(21)
    assert line.spread("lift") == pytest.approx(statistics.stdev(lifts))
    assert line.amplification == pytest.approx(2.1)
    assert line.cells(seeds=True) == [
        *("mlp", "model", "none", "cosine", "21.0 [19.0, 25.0]", "2.10", "2.10 %"),
        *("0.700 [0.690, 0.710]", "3 of 3", "3.61", "0.000"),
    ]


def test_a_failed_seed_is_missing_from_the_count_and_has_its_reason():
    leaderboard = board(row(seed=0), failed(seed=1))
    text = shown(leaderboard)

    assert render.title(leaderboard) == "tiny: 1 of 2 cells done"
    assert "1 of 2" in text
    assert "out of [/memory]" in text
    assert "out of [/memory]" in render.markdown(leaderboard)


def test_a_metric_that_does_not_exist_is_an_empty_cell():
    raw = row(release="raw", auc=None, auc_low=None, auc_high=None, raw_lift=None)
    (group,) = render.groups([raw])
    assert group.lines[0].cells(seeds=False)[-4:] == ["20.0 [15.0, 26.0]", "", "2.00 %", ""]


def test_it_is_said_where_an_auc_is_that_of_a_refitted_head():
    assert render.REFITTED in render.notes(board(row(auc_refitted=0.7)))
    assert render.notes(board(row())) == [render.EXPLANATION]


def test_what_the_attacker_observes_is_shown_where_it_differs():
    gaussian = {"defense": "gaussian", "attacker_holds": "defended"}
    repeated = [
        row(**gaussian, releases_m=m, lift=lift, seed=seed)
        for m, lift in ((1, 2.0), (10, 9.0), ("all", 20.0))
        for seed in (0, 1)
    ]
    (section,) = render.sections(board(row(lift=30.0), *repeated))
    place = section.header.index("m")
    assert section.header[:place] == ("model", "release", "defense", "attack")
    assert [line[place] for line in section.lines] == ["", "all", "10", "1"]
    assert {line[-3] for line in section.lines[1:]} == {"2 of 2"}
    assert render.REPEATED in render.notes(board(*repeated))
    (alone,) = render.sections(board(row(lift=30.0), repeated[0]))
    assert "m" not in alone.header
    holds = [row(**gaussian | {"attacker_holds": h}, releases_m=1) for h in HOLDS]
    (section,) = render.sections(board(*holds))
    column = section.header.index("attacker holds")
    assert sorted(line[column] for line in section.lines) == sorted(HOLDS)


HOLDS = ("defended", "undefended")


def test_the_reading_that_x_raw_is_relative_to_stands_in_a_table_of_its_own():
    known = {"raw_by": "aggregates, cosine", "raw_lift": 956.0}
    rows = [row(seed=seed, attack=a, **known) for seed in (0, 1) for a in ("cosine", "euclidean")]
    (found,) = [s for s in render.sections(board(*rows)) if s.title.startswith("strongest")]
    assert found.lines == (("readers", "rolling", "mlp", "aggregates, cosine", "956"),)
    assert not [s for s in render.sections(board(row())) if s.title.startswith("strongest")]


def test_a_lift_below_chance_is_named_below_the_tables():
    below = row(lift=0.4, lift_low=0.1, lift_high=0.9, protocol="disjoint", seed=3)
    (found,) = render.notes(board(below, row(lift=0.4, lift_low=0.1, lift_high=1.0)))[1:]
    assert "mlp model, disjoint, none, cosine, seed 3." in found
    assert found.startswith("Below chance")
    assert found in " ".join(shown(board(below)).split())


def test_an_unreliable_lift_stands_behind_the_one_over_users():
    over_users = {"per_user_top1": 0.01, "per_user_top1_low": 0.008, "per_user_top1_high": 0.013}
    marked = row(**over_users, interval="unreliable", interval_reason="top1: rests on 5 users")
    kept = row(**over_users, seed=1, model="bilstm", interval="ok")

    (section,) = render.sections(board(marked, kept))
    cells = {line[0]: line[section.header.index("lift")] for line in section.lines}
    assert cells == {
        "mlp": "10.0 [8.00, 13.0] per user; 20.0",
        "bilstm": "20.0 [15.0, 26.0]",
    }
    assert render.MARKED in render.notes(board(marked, kept))
    assert render.MARKED not in render.notes(board(kept))
    assert "10.0 [8.00, 13.0] per user; 20.0" in shown(board(marked, kept))


def test_a_group_says_what_its_lift_is_relative_to():
    (group,) = render.groups([row(synthetic=True)])
    assert group.title == (
        "readers (synthetic users), rolling, N = 1,000, chance 0.100 %, 12,345 probes, "
        "67 events dropped"
    )


@pytest.mark.parametrize("synthetic", [True, False])
def test_only_synthetic_rows_are_called_synthetic(synthetic):
    leaderboard = board(row(synthetic=synthetic))
    for text in (shown(leaderboard), render.markdown(leaderboard)):
        assert ("SYNTHETIC" in text) == synthetic


def test_the_terminal_table_fits_120_columns_and_cuts_nothing():
    rows = [
        row(
            model=model,
            release=release,
            seed=seed,
            lift=12345.6,
            lift_low=11111.1,
            lift_high=13333.3,
            chance=0.00001,
            defense="gaussian(scale=0.25, releases=10)",
            attack="mahalanobis(shrinkage=0.1)",
        )
        for model in ("bilstm", "nn_classifier")
        for release in ("context_only", "random_net")
        for seed in (0, 1)
    ]
    text = shown(board(*rows, suite="ebnerd"))

    assert max(map(len, text.splitlines())) <= 120
    assert "12,346 [11,111, 13,333]" in text
    assert "\N{HORIZONTAL ELLIPSIS}" not in text
    assert "\x1b" not in text


def test_csv_holds_every_row_and_key():
    leaderboard = board(row(seed=0), row(seed=1, auc=0.1 + 0.2, auc_low=0.3), failed(seed=2))
    read = list(csv.DictReader(io.StringIO(render.csv(leaderboard))))

    assert list(read[0]) == list(Row.model_fields)
    assert float(read[1]["auc"]) == 0.1 + 0.2
    assert read[2]["auc"] == ""
    assert read[2]["reason"] == "out of [/memory]"


def test_markdown_tables_are_rectangular_even_with_pipes_in_texts():
    text = render.markdown(board(row(model="a|b"), failed(reason="one|two\nthree")))
    blocks = [b.splitlines() for b in text.split("\n\n") if b.startswith("|")]

    assert len(blocks) == 2
    for lines in blocks:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def test_claimed_rows_stand_apart_and_say_so():
    sections = render.sections(board(row(), suite="ebnerd"))
    claimed = [s for s in sections if any("2,853" in cell for line in s.lines for cell in line)]

    assert [s.title.startswith("claimed, not measured") for s in claimed] == [True]
    assert "N = 28,361" in claimed[0].title
    assert not any(s.title.startswith("claimed") for s in render.sections(board(row())))


@pytest.mark.parametrize(
    ("lift", "text"),
    [
        (0.0, "0.00"),
        (1e-17, "0.00"),
        (0.0912, "0.0912"),
        (1.0, "1.00"),
        (99.96, "100"),
        (2853, "2,853"),
    ],
)
def test_figures_have_three_significant_digits(lift, text):
    (group,) = render.groups([row(lift=lift, chance=0.0001)])
    assert group.lines[0].cells(seeds=False)[4] == text


def test_a_lift_stands_beside_what_no_attacker_exceeds():
    bounded = board(row(bound_lift=41.3), row(bound_lift=41.5, seed=1))
    (group,) = render.groups(bounded.rows)
    assert group.lines[0].cells(seeds=False)[4] == "20.0 [15.0, 26.0] (<= 41.4)"
    assert render.BOUNDED in render.notes(bounded)
    assert render.BOUNDED not in render.notes(board(row()))
