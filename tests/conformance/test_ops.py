"""Every operation of the vocabulary passes every check, and every check can fail."""

import pytest
import torch

from tradenas import testing
from tradenas.nn.elastic import Count, fit
from tradenas.nn.ops import OPS, CrossAsset, Leader, Market, Op
from tradenas.space import CROSS_ASSET

CHECKS = ("shape", "causal", "reach", "width", "gradient", "linear", "count", "stacked", "assets")


@pytest.mark.parametrize("name", list(OPS))
@pytest.mark.parametrize("check", CHECKS)
def test_op(name, check):
    getattr(testing, f"check_{check}")(OPS[name])


class Peeking(Op):
    """Reads the next row of another segment, says it is linear, ignores masks, overstates reach and price, and never
    uses its weight.
    """

    reach = 3
    lags = (0,)

    def __init__(self, c_in, c_out):
        super().__init__(c_in, c_out)
        self.unused = torch.nn.Parameter(torch.zeros(2))

    def forward(self, x_BTC, width):
        want = width if isinstance(width, int) else len(width)
        return (
            fit(torch.roll(x_BTC, (-1, 1), dims=(1, 0)), want)[..., : max(1, want - 1)]
            + 0.0 * self.unused.sum().detach()
        )

    def as_kernel(self, weights, channels):
        return torch.eye(channels, dtype=torch.float64).unsqueeze(-1), None

    def count(self, c_in, width):
        return Count(parameters=7, macs=7000)


@pytest.mark.parametrize("check", CHECKS)
def test_the_checks_have_teeth(check):
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(testing, f"check_{check}")(Peeking)


class Alone(Market):
    """Mixes nothing."""

    def made(self, x_BATC, others_BATC):
        return x_BATC


class Lopsided(Market):
    """Hears the first asset most, and calls itself symmetric."""

    def made(self, x_BATC, others_BATC):
        return others_BATC + x_BATC[..., :1, :, :]


class Modest(Leader):
    """Forgets that it reads other assets' rows up to seven before the current one."""

    reach = 6


class Lonely(Market):
    """Takes a single asset too."""

    def __init__(self, c_in, c_out, assets):
        super().__init__(c_in, c_out, 3)
        self.assets = assets


class Ahead(Leader):
    """Reads the row after of the assets that lead."""

    def forward(self, x_BTC, width):
        return super().forward(torch.roll(x_BTC, -1, dims=1), width)


class Unstacked(Leader):
    """Says that it runs stacked, and takes the first network's weights for all."""

    def weighting(self):
        full = super().weighting()
        return full if full.ndim == 3 else full[:1].expand_as(full)


@pytest.mark.parametrize(
    ("check", "broken"),
    [("assets", Alone), ("assets", Lopsided), ("assets", Lonely), ("causal", Ahead), ("reach", Modest),
     ("stacked", Unstacked)],
)  # fmt: skip
def test_ops_that_mix_assets_wrongly_are_found_out(check, broken):
    with pytest.raises((AssertionError, RuntimeError)):
        getattr(testing, f"check_{check}")(broken)


def test_the_space_knows_which_ops_mix_assets():
    assert {name for name in OPS if issubclass(OPS[name], CrossAsset)} == set(CROSS_ASSET)
