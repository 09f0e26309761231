import json
import re
from html.parser import HTMLParser

import pytest

from suite.leaderboard import render
from suite.leaderboard.rows import Leaderboard, Row
from suite.publish import report


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
        "auc": 0.7125,
        "auc_low": 0.69,
        "auc_high": 0.73,
        "top1": 0.02,
        "lift": 20.0,
        "lift_low": 15.0,
        "lift_high": 26.0,
        "chance": 0.001,
        "raw_lift": 10.0,
        "num_gallery": 1000,
        "num_probes": 12345,
    }
    values = {**base, **changes}
    if changes.get("lift") is not None:  # with what else follows from it
        values |= dict.fromkeys(("lift_low", "lift_high")) | changes
        values["top1"] = changes["lift"] * values["chance"]
    return Row(**values, digest=str(sorted((k, str(v)) for k, v in values.items())))


def page(*rows, suite="tiny"):
    return report.page(Leaderboard(suite=suite, rows=rows, versions={"torch": "2.13.0"}))


class Tags(HTMLParser):
    """Collects tags with their attributes; what stands inside scripts is no tag."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.words = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.found and self.found[-1][0] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def handed_to_plotly(text):
    """Return the traces, then the layout."""
    start = text.index('"auc-versus-lift",', text.index("Plotly.newPlot(")) + len(
        '"auc-versus-lift",'
    )
    rest = text[start:].lstrip()
    points, end = json.JSONDecoder().raw_decode(rest)
    return points, json.JSONDecoder().raw_decode(rest[end:].lstrip(", \n"))[0]


def traces(text):
    return handed_to_plotly(text)[0]


def test_the_page_fetches_nothing():
    tags = Tags(page(row())).found
    loading = [
        (tag, name, value)
        for tag, attributes in tags
        for name, value in attributes.items()
        if name in ("src", "href", "srcset", "data", "action")
    ]
    policy = next(a["content"] for t, a in tags if a.get("http-equiv") == "Content-Security-Policy")

    assert loading == []
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_plotly_itself_is_in_the_page():
    assert len(page(row())) > 2_000_000


def test_every_row_with_auc_and_lift_is_a_point_with_its_interval():
    filled, hollow = traces(page(row(), row(release="raw", auc=None)))

    assert (filled["x"], filled["y"]) == ([0.7125], [20.0])
    assert filled["error_y"]["array"] == [6.0]
    assert filled["error_y"]["arrayminus"] == [5.0]
    assert filled["error_x"]["array"] == [pytest.approx(0.0175)]
    assert (hollow["x"], hollow["y"]) == ([0.7125], [10.0])
    assert "num_gallery: 1000" in filled["hovertext"][0]


def test_different_protocols_and_n_get_panels_of_their_own():
    text = page(row(), row(protocol="static"), row(num_gallery=500), row(attack="euclidean"))
    assert {trace["yaxis"] for trace in traces(text)} == {"y", "y2", "y3"}


def test_every_panel_has_its_line_of_chance_at_a_lift_of_1():
    layout = handed_to_plotly(page(row(), row(protocol="static")))[1]
    labels = [note for note in layout["annotations"] if note["text"] == "chance"]

    assert [(line["yref"], line["y0"], line["y1"]) for line in layout["shapes"]] == [
        ("y", 1, 1),
        ("y2", 1, 1),
    ]
    assert [(label["yref"], 10 ** label["y"]) for label in labels] == [("y", 1), ("y2", 1)]
    assert layout["yaxis"]["type"] == layout["yaxis2"]["type"] == "log"


def test_a_lift_of_zero_is_drawn_at_the_foot_of_the_logarithmic_axis():
    zero, positive = row(lift=0.0, lift_low=0.0, lift_high=3.0), row(attack="euclidean")
    drawn = traces(page(zero, positive))
    assert drawn[0]["y"] == [0.5]
    assert drawn[0]["error_y"]["arrayminus"] == [0.0]


def test_a_board_without_auc_says_that_there_is_nothing_to_plot():
    text = page(row(auc=None, auc_low=None, auc_high=None))
    assert "nothing to plot" in text
    assert "Plotly.newPlot" not in text


@pytest.mark.parametrize("synthetic", [True, False])
def test_the_banner_appears_with_synthetic_rows_only(synthetic):
    words = Tags(page(row(), row(seed=1, synthetic=synthetic))).text
    assert ("Synthetic users:" in words) == synthetic


def test_failed_cells_are_on_the_page_with_their_reason():
    text = page(
        row(),
        row(seed=1, status="failed", reason="worker <3> was killed", auc=None, lift=None),
    )
    assert 'class="failed"' in text
    assert "worker &lt;3&gt; was killed" in text
    assert "1 of 2 cells done" in text


def test_claimed_rows_are_labelled():
    words = Tags(page(row(dataset="ebnerd"), suite="ebnerd")).text
    assert "claimed, not measured: ebnerd, static, N = 28,361" in words
    assert "contradicted by the public record" in words
    assert "claimed" not in Tags(page(row())).text


def test_the_page_says_what_produced_it():
    leaderboard = Leaderboard(suite="tiny", rows=[row()], versions={"torch": "2.13.0"})
    words = Tags(report.page(leaderboard)).text
    assert leaderboard.digest in words
    assert "torch 2.13.0" in words


def test_a_name_cannot_inject_markup():
    text = page(row(model="</script><img src=x onerror=alert(1)>"))
    assert not re.search(r"<img", text)


def test_the_same_leaderboard_gives_the_same_page():
    assert page(row(), row(seed=1)) == page(row(seed=1), row())


def test_four_files_are_written_and_no_other(tmp_path):
    leaderboard = Leaderboard(suite="tiny", rows=[row()])
    report.write(leaderboard, tmp_path / "new")
    report.write(leaderboard, tmp_path / "new")
    found = {path.name: path.read_text() for path in (tmp_path / "new").iterdir()}

    assert sorted(found) == [f"leaderboard.{kind}" for kind in ("csv", "html", "json", "md")]
    assert Leaderboard.from_json(found["leaderboard.json"]) == leaderboard
    assert found["leaderboard.csv"] == render.csv(leaderboard)
    assert found["leaderboard.md"] == render.markdown(leaderboard)
    assert found["leaderboard.html"] == report.page(leaderboard)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    report.write(Leaderboard(suite="old", rows=[row()]), tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def full(*_):
        raise OSError("no space left")

    monkeypatch.setattr("pathlib.Path.replace", full)
    with pytest.raises(OSError, match="no space left"):
        report.write(Leaderboard(suite="new", rows=[row()]), tmp_path)

    assert {name: (tmp_path / name).read_bytes() for name in before} == before
