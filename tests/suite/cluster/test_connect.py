"""What a cluster has bounds what a fit asks of it."""

import pytest
import torch

from suite.cluster.connect import fitting
from suite.cluster.settings import Compute
from suite.steps.fit import _threads

pytestmark = pytest.mark.cluster


@pytest.mark.usefixtures("ray_session")
@pytest.mark.parametrize(("asked", "granted"), [(1, 1), (2, 2), (64, 2)])
def test_a_fit_asks_for_no_more_cpus_than_a_node_has(asked, granted):
    assert fitting(Compute(cpus_per_worker=asked)).cpus_per_worker == granted


def test_the_threads_of_a_fit_are_not_those_of_the_next_task():
    before = torch.get_num_threads()
    with _threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before
