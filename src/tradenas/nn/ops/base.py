"""What every operation is: causal, elastic in width, and honest about its reach and its price."""

from __future__ import annotations

import abc
from collections.abc import Mapping

from torch import Tensor, nn

from tradenas.nn.elastic import Count, Width, fit
from tradenas.registry import Registry

__all__ = ["OPS", "Op"]


class Op(nn.Module, abc.ABC):
    """(B, T, C_in) to (B, T, width).  Row t of the output reads rows t - reach .. t of the input, no later ones.

    Built for the largest input and output widths; called with any smaller input and any `width`: an int slices the
    weights, a mask (one weight per largest output channel) gates the output.  `tradenas.testing.check_op` proves it.
    """

    #: Rows read before the current one.
    reach: int = 0
    #: Whether it runs with the weights of N networks stacked in front, on (N, B, T, C).
    stackable: bool = True
    #: Whether output channel c is input channel c plus something: `carried` is called.
    carries: bool = False
    #: Whether it puts out zeros whatever comes in.
    silent: bool = False
    #: Assets that stand in its batch beside each other; only ops that mix them are told (`CrossAsset`).
    assets: int = 1
    #: Products of two values for a row of an output channel, which a profiler of matrices does not see.
    products: int = 1
    #: Where its input channels stand among the supernet's, in a first layer that some inputs were left out of.
    places: tuple[int, ...] | None = None
    #: Of an op with weights that is linear in its input: the lags that it reads.  Such an op has `as_kernel`.
    lags: tuple[int, ...] = ()
    #: Whether `forward` takes a third argument, a `Precision` or None, and then rounds its weights, and its values
    #: wherever a product or a function follows: what it puts out are finitely many steps of a power of two.
    rounds: bool = False
    #: Whether what it puts out under a precision is still to be rounded, where no activation follows that does.
    sums: bool = True

    def __init__(self, c_in: int, c_out: int) -> None:
        super().__init__()
        self.c_in, self.c_out = c_in, c_out

    def carried(self, x_BTC: Tensor, width: Width) -> Tensor:
        """The input itself, cropped or zero-padded to the width; inputs that were left out are the zeros they were."""
        if self.places is not None:
            full_BTC = x_BTC.new_zeros(*x_BTC.shape[:-1], max(self.places) + 1)
            full_BTC[..., list(self.places)] = x_BTC
            x_BTC = full_BTC
        return fit(x_BTC, width)

    def as_kernel(self, weights: Mapping[str, Tensor], channels: int) -> tuple[Tensor, Tensor | None]:
        """What a linear op with weights does, between so many channels: (.., C out, C in, lags), and a bias (.., C).

        Args:
            weights: the op's own, by name, or those of several such ops with one more axis in front.
            channels: in and out.
        """
        raise NotImplementedError(f"{type(self).__name__} has no lags")

    def carrying_taps(self) -> Tensor | None:
        """What a linear op without weights does to each channel: the weight of the row `lag` rows before."""
        return None

    @abc.abstractmethod
    def forward(self, x_BTC: Tensor, width: Width) -> Tensor:
        """The output at `width`."""

    @abc.abstractmethod
    def count(self, c_in: int, width: int) -> Count:
        """Parameters and multiply-accumulates per candle at these widths."""


OPS: Registry[type[Op]] = Registry("op")
