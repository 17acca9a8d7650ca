"""Which asset goes ahead of which, and by how many rows."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.nn.elastic import Count, ElasticLinear, Width, gate
from tradenas.nn.norms import per_row
from tradenas.nn.ops.base import OPS
from tradenas.nn.ops.cross_asset import CrossAsset, per_network

__all__ = ["LAGS", "Lead", "Leader"]

#: Rows of the other assets that one row reads, the latest included.
LAGS = 8
#: How many times faster than its parameters the weighting moves.
SPEED = 4.0


@dataclass(frozen=True, kw_only=True)
class Lead:
    """What a `leader` learnt for one asset.

    Attributes:
        asset: the asset that follows.
        leader: the other asset with the largest weight.
        lag: how many bars it is ahead of the bar that follows the row: 1 is its bar that has just closed.
        share: that weight's part of the sum of absolute weights over all others and lags; 1 / ((A - 1) * LAGS) where
            nothing was learnt.
        sign: 1 where the leader is followed, -1 where it is opposed, both after the map of the channels.
    """

    asset: int
    leader: int
    lag: int
    share: float
    sign: int


@OPS.register("leader")
class Leader(CrossAsset):
    """Rows of the other assets, one to eight bars before the bar that is forecast, weighted for each asset.

        y[a, t] = b + sum_(c != a) sum_(l = 1 .. 8) P[a, c, l] W x[c, t + 1 - l],   P = 4 p

    Lag 1 is the other asset's row t itself, which has closed when row t is decided on.  W is one map of the channels
    for all assets and lags, P one signed weight for each pair of assets and lag.

    P starts at zero, so that the op says nothing at first and each entry grows by its own evidence, in either
    direction.  Weights that start as an average of all others and lags (a softmax, say) first find the direction of
    that average, and run away from the leader where chance has it wrong: 1 planted world in 8, this form in none.  A
    sparse form (u * u - v * v from a small start) forecast a little better alone, but in a supernet, where what reads
    the op keeps changing, it held on to whatever came first; P moves faster than its parameters for the same reason.

    What it learnt is in `leads()`.
    """

    reach = LAGS - 1

    def __init__(self, c_in: int, c_out: int, assets: int) -> None:
        super().__init__(c_in, c_out, assets)
        self.value = ElasticLinear(c_in, c_out, bias=False)
        self.bias = nn.Parameter(torch.empty(c_out))
        self.pull = nn.Parameter(torch.empty(assets, assets - 1, LAGS))

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        nn.init.zeros_(self.bias)
        nn.init.zeros_(self.pull)

    def weighting(self) -> Tensor:
        """P, (..., A, A, LAGS): the asset that follows, the one that leads, the lag less 1; zeros for oneself."""
        others = SPEED * self.pull
        lead = others.shape[:-2]
        # One asset's others in front of and behind itself: A * (A - 1) entries with a zero before each A of them.
        rows = others.flatten(-3, -2).unflatten(-2, (self.assets - 1, self.assets))  # type: ignore[no-untyped-call]
        full = torch.cat([F.pad(rows, (0, 0, 1, 0)).flatten(-3, -2), others.new_zeros(*lead[:-1], 1, LAGS)], dim=-2)
        return full.unflatten(-2, (self.assets, self.assets))  # type: ignore[no-untyped-call]

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        z_BATC = self.apart(self.value(x_BTC, width))
        rows, channels = z_BATC.shape[-2:]
        padded = F.pad(z_BATC, (0, 0, self.reach, 0))
        lags = [padded[..., self.reach - back : self.reach - back + rows, :] for back in range(LAGS)]
        told_BKR = torch.stack(lags, dim=-3).flatten(-4, -3).flatten(-2)
        y_BAR = per_network(self.weighting().flatten(-2), 2) @ told_BKR
        y_BTC = self.together(y_BAR.unflatten(-1, (rows, channels)))  # type: ignore[no-untyped-call]
        return gate(y_BTC + per_row(self.bias[..., :channels]), width)

    def leads(self) -> tuple[Lead, ...]:
        """For each asset the strongest of the others and its lag.  One network, not a stack."""
        P_AAL = self.weighting().detach()
        told = []
        for asset, weights_AL in enumerate(P_AAL):
            flat = int(weights_AL.abs().argmax())
            leader, back = divmod(flat, LAGS)
            total = float(weights_AL.abs().sum())
            share = float(weights_AL.abs().max()) / total if total else 1.0 / ((self.assets - 1) * LAGS)
            sign = -1 if float(weights_AL[leader, back]) < 0 else 1
            told.append(Lead(asset=asset, leader=leader, lag=back + 1, share=share, sign=sign))
        return tuple(told)

    def count(self, c_in: int, width: int) -> Count:
        pairs = self.assets * (self.assets - 1)
        mixing = Count(parameters=pairs * LAGS + width, macs=self.assets * LAGS * width)
        return self.value.count(c_in, width) + mixing
