"""Attacks that learn from the gallery adapt to noise of a shape that a defense adds to it."""

from dataclasses import replace

import numpy as np
import pytest

from attacks.base import Attack
from attacks.classifier import Classifier
from attacks.cosine import Cosine
from attacks.euclidean import Euclidean
from attacks.gallery import Gallery
from attacks.lda import Lda
from attacks.learned_metric import LearnedMetric
from tests.planted import World, positions, top1, world


@pytest.fixture(scope="module")
def worlds() -> tuple[World, World]:
    """The same people undefended, and with much noise in half of the directions."""
    plain = world(positions(300), 0.3, events=6)
    rng = np.random.default_rng(7)
    axes = np.linalg.qr(rng.standard_normal((16, 16)))[0]
    shape = np.where(np.arange(16) < 8, 4.0, 0.2)[:, None] * axes
    vectors, probe = (
        (v + rng.standard_normal(v.shape) @ shape).astype(np.float32)
        for v in (plain.vectors, plain.probe)
    )
    return plain, replace(plain, vectors=vectors, probe=probe)


def named(attack: Attack, defended: World, learned_from: World) -> float:
    """Top-1 among defended means, whatever the attack was trained on."""
    held = Gallery(learned_from.vectors, learned_from.user_row, means=defended.gallery)
    attack.fit(held, np.random.default_rng(0))
    return top1(attack.ranks(defended.probe, defended.gallery, defended.true_row))


@pytest.mark.parametrize("made", [Lda, Classifier, LearnedMetric])
def test_noise_in_some_directions_is_played_down(made, worlds):
    defended = worlds[1]
    naive = max(named(attack, defended, defended) for attack in (Cosine(), Euclidean()))

    assert named(made(), defended, defended) > 2 * naive


@pytest.mark.parametrize("made", [Lda, LearnedMetric])
def test_training_on_what_is_released_beats_training_on_what_is_not(made, worlds):
    plain, defended = worlds

    assert named(made(), defended, defended) > 2 * named(made(), defended, plain)
