"""Every operation of the vocabulary passes every check, and every check can fail."""

import pytest
import torch

from tradenas import testing
from tradenas.nn.elastic import Count, fit
from tradenas.nn.ops import OPS, Op

CHECKS = ("shape", "causal", "reach", "width", "gradient", "count")


@pytest.mark.parametrize("name", list(OPS))
@pytest.mark.parametrize("check", CHECKS)
def test_op(name, check):
    getattr(testing, f"check_{check}")(OPS[name])


class Peeking(Op):
    """Reads the next row, ignores masks, overstates its reach and its price, and never uses its weight."""

    reach = 3

    def __init__(self, c_in, c_out):
        super().__init__(c_in, c_out)
        self.unused = torch.nn.Parameter(torch.zeros(2))

    def forward(self, x_BTC, width):
        want = width if isinstance(width, int) else len(width)
        return fit(torch.roll(x_BTC, -1, dims=1), want)[..., : max(1, want - 1)] + 0.0 * self.unused.sum().detach()

    def count(self, c_in, width):
        return Count(parameters=7, macs=7000)


@pytest.mark.parametrize("check", CHECKS)
def test_the_checks_have_teeth(check):
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(testing, f"check_{check}")(Peeking)
