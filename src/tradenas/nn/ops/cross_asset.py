"""Operations that mix assets, and the ones of them that have nothing to learn.

A network over A assets has them in its batch, the asset index fastest: (B * A, T, C), row `b * A + a` is asset a.  The
other ops do not know of them; these take the batch apart.  Row t of any asset reads rows up to t of all assets.

A row on which an asset is not ready (before it was listed, say) holds zeros as its features, which is what these ops
see: known at the time, and no future.  An asset of zeros adds nothing to `leader` and `correlation` except through a
bias of the layers before; to `market` it is one more asset that did not move, so the mean shrinks towards 0, and in
`cross_attention` it stands with a score of 0 and the value's bias.  Such rows of the asset itself get no weight in any
loss and no position.  Zero is the middle of a standardised feature and of a return; it is not that of a raw price or
volume: use a transform.
"""

from __future__ import annotations

import abc

from torch import Tensor

from tradenas.errors import SpaceError
from tradenas.nn.elastic import Count, Width, gate
from tradenas.nn.ops.base import OPS, Op

__all__ = ["CrossAsset", "Market", "Relative", "build_op", "per_network"]


class CrossAsset(Op, abc.ABC):
    """(B * A, T, C_in) to (B * A, T, width), each asset's rows made of those of all assets.

    Args:
        c_in: largest number of input channels.
        c_out: largest width.
        assets: A, two or more; weights may depend on it.

    Raises:
        SpaceError: fewer than two assets.
    """

    #: Whether all assets are alike to it: assets in another order give the same outputs in that order.
    symmetric: bool = False

    def __init__(self, c_in: int, c_out: int, assets: int) -> None:
        if assets < 2:
            raise SpaceError(
                "space.ops",
                got=f"{type(self).__name__}, an op that mixes assets, with {assets} asset{'s' * (assets != 1)}",
                expected="two assets or more",
                fix="give the study several symbols, or take the op out of space.ops",
            )
        super().__init__(c_in, c_out)
        self.assets = assets

    def apart(self, x_BTC: Tensor) -> Tensor:
        """(..., B * A, T, C) to (..., B, A, T, C)."""
        apart_BATC: Tensor = x_BTC.unflatten(-3, (-1, self.assets))  # type: ignore[no-untyped-call]
        return apart_BATC

    @staticmethod
    def together(x_BATC: Tensor) -> Tensor:
        """The way back."""
        return x_BATC.flatten(-4, -3)


def build_op(name: str, c_in: int, c_out: int, assets: int = 1) -> Op:
    """The op of a name, told of the assets where it mixes them."""
    kind = OPS[name]
    return kind(c_in, c_out, assets) if issubclass(kind, CrossAsset) else kind(c_in, c_out)


def per_network(weights: Tensor, axes: int) -> Tensor:
    """Weights that one network has with so many axes; of N stacked ones with a place for the batch behind the N."""
    return weights if weights.ndim == axes else weights.unsqueeze(1)


class _OfOthers(CrossAsset):
    """Each channel by itself; output channel c is made of input channel c."""

    carries = True
    symmetric = True

    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        channels = width if isinstance(width, int) else len(width)
        x_BATC = self.apart(self.carried(x_BTC, channels))
        others_BATC = (x_BATC.sum(-3, keepdim=True) - x_BATC) / (self.assets - 1)
        return gate(self.together(self.made(x_BATC, others_BATC)), width)

    @abc.abstractmethod
    def made(self, x_BATC: Tensor, others_BATC: Tensor) -> Tensor:
        """The output, of what each asset has and of the mean over the others."""

    def count(self, c_in: int, width: int) -> Count:  # noqa: ARG002
        return Count()


@OPS.register("market")
class Market(_OfOthers):
    """The mean over the other assets: what the market does, without oneself."""

    def made(self, x_BATC: Tensor, others_BATC: Tensor) -> Tensor:  # noqa: ARG002
        return others_BATC


@OPS.register("relative")
class Relative(_OfOthers):
    """x less the mean over the other assets: how one differs from the market."""

    def made(self, x_BATC: Tensor, others_BATC: Tensor) -> Tensor:
        return x_BATC - others_BATC
