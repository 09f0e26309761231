"""A trial that goes on from another one's weights."""

import numpy as np
import torch
from torch.optim.lr_scheduler import OneCycleLR

from suite.search.objective import adopted
from suite.training.settings import Training


def test_weights_that_are_adopted_go_on_at_the_new_rate_of_the_same_schedule():
    def trained(peak, steps):
        weight = torch.nn.Parameter(torch.zeros(1))
        optimizer = torch.optim.AdamW([weight], lr=peak, weight_decay=0.1)
        schedule = OneCycleLR(optimizer, max_lr=peak, total_steps=10)
        rates = []
        for _ in range(steps):
            rates.append(optimizer.param_groups[0]["lr"])
            optimizer.step()
            schedule.step()
        return optimizer, schedule, rates

    optimizer, schedule, _ = trained(0.1, 4)
    state = {"optimizer": optimizer.state_dict(), "schedule": schedule.state_dict()}
    state = adopted(state, Training(learning_rate=0.3, weight_decay=0.2))
    other, other_schedule, _ = trained(0.3, 0)
    other.load_state_dict(state["optimizer"])
    other_schedule.load_state_dict(state["schedule"])
    rates = []
    for _ in range(6):
        rates.append(other.param_groups[0]["lr"])
        other.step()
        other_schedule.step() if len(rates) < 6 else None
    np.testing.assert_allclose(rates, trained(0.3, 9)[2][4:] + rates[5:], rtol=1e-9)
    assert other.param_groups[0]["weight_decay"] == 0.2
