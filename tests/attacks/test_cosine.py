"""The angle attack sees directions only."""

import numpy as np

from attacks.cosine import Cosine


def test_cosine_finds_every_user_in_its_own_gallery_whatever_the_lengths():
    rng = np.random.default_rng(0)
    gallery = rng.standard_normal((200, 8)).astype(np.float32)
    lengths = rng.uniform(0.1, 10, (200, 1)).astype(np.float32)

    ranks = Cosine().ranks(gallery * lengths, gallery, np.arange(200))

    assert not ranks.greater.any()
    assert not ranks.equal.any()


def test_cosine_cannot_tell_parallel_users_apart():
    gallery = np.array([[1, 0], [2, 0], [0, 1]], np.float32)

    ranks = Cosine().ranks(gallery, gallery, np.arange(3))

    assert ranks.greater.tolist() == [0, 0, 0]
    assert ranks.equal.tolist() == [1, 1, 0]
