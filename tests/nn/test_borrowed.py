"""A network with other weights for a while."""

from __future__ import annotations

import pytest
import torch

from tradenas.errors import ConfigError
from tradenas.nn import weighing


def test_weights_are_given_back_whatever_happens():
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    own = dict(network.named_parameters())
    others = {name: torch.zeros_like(weight).requires_grad_() for name, weight in own.items() if name != "0.bias"}
    x = torch.ones(1, 2)
    with weighing(network, others):
        assert float(network(x).detach()) == 0.0
        network(x).sum().backward()
    assert others["1.bias"].grad is not None
    assert own["1.bias"].grad is None
    with pytest.raises(ZeroDivisionError), weighing(network, others):
        1 / 0  # noqa: B018
    with pytest.raises(ConfigError, match=r"2\.weight"), weighing(network, {**others, "2.weight": x}):
        pass
    assert all(weight is own[name] for name, weight in network.named_parameters())
