"""Training batches as segments: consecutive targets that share one stretch of history.

A network whose output at row t reads `reach` rows costs as much for S neighbouring targets as for S + reach - 1 rows,
not S * reach: every candle is computed once (SPEED 2.4, 2.5: 8x less CPU to the same loss than windows).  History in
front of the targets is real history, never padding.

Of a panel a segment is the same rows of every market, one after the other in the batch: B segments of A markets are
B * A rows of it, row b * A + a being market a of segment b.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.splits import Span
from tradenas.train.loss import Objective
from tradenas.train.panel import Market, features_of
from tradenas.typing import Float32Array, FloatArray, IntArray

__all__ = ["Batch", "Segments", "gather", "tensor_of"]

#: Numbers in a batch from which on all batches of an epoch share one place in memory: windows, rarely segments.
LARGE = 2**18


class Batch(NamedTuple):
    """`x_BTF` with T = history + S rows; labels and weights of the last S rows.  B counts the markets of a panel."""

    x_BTF: Tensor
    y_BS: Tensor
    weight_BS: Tensor


class Segments:
    """The targets of a span, cut into segments of `length` rows; a fresh cut with a random offset every epoch.

    Args:
        data: the market, or the panel of them.
        span: rows whose labels may be learnt.  History before it may be read: features are known by then.
        reach: rows that one output reads, its own included.
        length: targets in a segment (S), of each market.
        objective: turns labels into the network's units.
        device: where batches are put together.
        weight_T: weight of each row of the data in the loss, 0 or more; None is 1 everywhere.  A row of weight 0 is
            no target.  (A, T) where markets differ.

    Attributes:
        usable_T: rows that are targets, of any market.
        num_targets: how many targets there are, over all markets.
        assets: rows of a batch for each segment: the markets of a panel, else 1.

    Raises:
        ConfigError: no row of the span has both a label and `reach` rows of gapless history.
    """

    def __init__(
        self,
        data: Market,
        span: Span,
        *,
        reach: int,
        length: int,
        objective: Objective,
        device: torch.device | str = "cpu",
        weight_T: FloatArray | None = None,
    ) -> None:
        learnable = data.learnable(reach)
        if weight_T is not None:
            learnable &= weight_T > 0
        learnable[..., : span.start] = False
        learnable[..., span.stop :] = False
        learnable_AT = np.atleast_2d(learnable)
        usable_T = learnable_AT.any(axis=0)
        if length + reach - 1 > span.stop:
            raise ConfigError(
                "training.segment",
                got=f"{length} targets and {reach - 1} rows of history",
                expected=f"at most {span.stop} rows",
                fix="use shorter segments, a shorter lookback, or more candles",
            )
        if not usable_T.any():
            raise ConfigError(
                f"rows {span.start} to {span.stop}",
                got=f"no row with a label and {reach} rows of history without a gap",
                expected="some",
                fix="shorten the lookback, or repair the gaps when reading the candles",
            )
        self.reach, self.length, self.span = reach, length, span
        self.usable_T = usable_T
        self.assets = len(learnable_AT)
        self.num_targets = int(learnable_AT.sum())
        self._before_T = np.concatenate([[0], np.cumsum(usable_T)])
        #: Features of every row: (T, F), or (A, T, F) of a panel.
        self.x = tensor_of(features_of(data), device)
        #: The same with the markets below each other, (A * T, F).
        self.x_TF = self.x.reshape(-1, self.x.shape[-1])
        self._starts = np.arange(self.assets) * len(data)
        labels = np.where(learnable, objective.labels(data), 0.0).astype(np.float32)
        self._y_T = torch.from_numpy(labels).to(device).reshape(-1)
        weights = learnable if weight_T is None else np.where(learnable, weight_T, 0.0)
        self._weight_T = torch.from_numpy(weights.astype(np.float32)).to(device).reshape(-1)

    def cut(self, rng: np.random.Generator) -> tuple[IntArray, IntArray]:
        """One epoch's segments, shuffled: their first rows, and how many rows at the front of each another one has.

        Each usable row is a target once.  The segments lie on a grid with a random offset, and one more at each end
        of the span takes the rest; none reads a row at or past the end of the span, be it only into the moments of a
        batch norm.
        """
        low, last = self.reach - 1, self.span.stop - self.length
        offset = int(rng.integers(self.length))
        grid = np.arange(last - offset, max(low, self.span.start - self.length + 1) - 1, -self.length)
        first = np.unique(np.concatenate([[max(low, grid[-1] - self.length) if len(grid) else low], grid, [last]]))
        covered = np.concatenate([[0], np.maximum(first[:-1] + self.length - first[1:], 0)])
        holds = self._before_T[first + self.length] > self._before_T[first + covered]
        order = rng.permutation(int(holds.sum()))
        return first[holds][order], covered[holds][order]

    def batch(self, first: IntArray, covered: IntArray, *, into: Tensor | None = None) -> Batch:
        """The segments whose targets begin at these rows, without the weights of the rows that others have."""
        starts, taken = self.of_markets(first, covered)
        return gather(*self.columns, starts, taken, history=self.reach - 1, length=self.length, into=into)

    def of_markets(self, first: IntArray, covered: IntArray) -> tuple[IntArray, IntArray]:
        """The same segments of every market, as rows of `columns`: the market is fastest."""
        first_BA = first[:, None] + self._starts
        return first_BA.reshape(-1), np.repeat(covered, self.assets)

    @property
    def columns(self) -> tuple[Tensor, Tensor, Tensor]:
        """Features, labels and weights of every row; markets of a panel below each other."""
        return self.x_TF, self._y_T, self._weight_T

    def epoch(self, rng: np.random.Generator, *, targets: int) -> Iterator[Batch]:
        """One pass, about `targets` rows a batch, those of all markets counted.

        Features of a batch may be overwritten by the next one; copy what is to outlive it.
        """
        per_batch = self._per_batch(targets)
        first, covered = self.cut(rng)
        rows = min(per_batch, len(first)) * self.assets
        width = (self.reach - 1 + self.length) * self.x_TF.shape[1]
        features_BW = self.x_TF.new_empty(rows, width) if rows * width >= LARGE else None
        for at in range(0, len(first), per_batch):
            yield self.batch(first[at : at + per_batch], covered[at : at + per_batch], into=features_BW)

    def steps(self, *, targets: int) -> int:
        """About how many batches an epoch has."""
        span = self.span.stop - max(self.span.start, self.reach - 1)
        return max(1, -(-span // self.length) // self._per_batch(targets))

    def _per_batch(self, targets: int) -> int:
        """Segments in a batch."""
        return max(1, targets // (self.length * self.assets))


def gather(
    x_TF: Tensor,
    y_T: Tensor,
    weight_T: Tensor,
    first: IntArray,
    covered: IntArray,
    *,
    history: int,
    length: int,
    into: Tensor | None = None,
    read: IntArray | None = None,
) -> Batch:
    """The segments whose targets begin at the rows `first`; the leading `covered` targets of each get no weight.

    A segment is one contiguous stretch of the series, so that a batch is one copy of rows of a strided view.

    Args:
        into: (at least B, T * F), where the features are put; None makes room for them, which for some MB costs ten
            times the copy (pages that were given back are asked for again).
        read: the same rows in the table of features, where that is not laid out as labels and weights are.
    """
    width, features = history + length, x_TF.shape[1]
    windows = x_TF.as_strided((len(x_TF) - width + 1, width * features), (features, 1))
    at = torch.from_numpy(first).to(x_TF.device)
    begin = (at if read is None else torch.from_numpy(read).to(x_TF.device)) - history
    if into is None:
        x_BW = windows.index_select(0, begin)
    else:
        x_BW = torch.index_select(windows, 0, begin, out=into[: len(first)])
    x_BTF = x_BW.view(len(first), width, features)
    rows = (len(y_T) - length + 1, length)
    y_BS = y_T.as_strided(rows, (1, 1)).index_select(0, at)
    weight_BS = weight_T.as_strided(rows, (1, 1)).index_select(0, at)
    if covered.any():
        own_BS = torch.from_numpy(np.arange(length) >= covered[:, None]).to(x_TF.device)
        weight_BS = weight_BS * own_BS
    return Batch(x_BTF, y_BS, weight_BS)


def tensor_of(x: Float32Array, device: torch.device | str = "cpu") -> Tensor:
    """A view where NumPy and torch can share memory; what is read-only or has gaps is copied."""
    x = np.ascontiguousarray(x, dtype=np.float32)
    return torch.from_numpy(x if x.flags.writeable else x.copy()).to(device)
