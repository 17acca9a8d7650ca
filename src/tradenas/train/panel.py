"""Several markets on one time axis, learnt by one network and traded as one portfolio.

    grid      every opening time at which any of the markets has a candle (the union; nothing is ever filled in)
    absent    a market without a candle at a time: its row is zeros, not ready, without label and return
    decision  row t of every market is decided at the same moment, the close of candle t
    capital   `weight_AT` is the share of each market as known at row t; what no market takes lies idle

A network sees the markets as part of its batch, (B * A, T, F) with the market fastest; see `Segments`.  A study of one
market has a plain `Dataset`; `Market` is either.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from tradenas.errors import ConfigError
from tradenas.train.dataset import Dataset
from tradenas.typing import BoolArray, Float32Array, FloatArray

if TYPE_CHECKING:
    from tradenas.nn import Layout

__all__ = ["Market", "Panel", "each", "features_of", "part"]

#: What all markets of a panel must agree on.
SHARED = ("names", "groups", "transforms", "kind", "days_per_year", "centre_labels", "purge_rows")


@dataclass(frozen=True, eq=False, kw_only=True)
class Panel:
    """A markets as datasets of T rows, row t of each being the decision taken at the same moment.

    Attributes:
        symbols: name of each market.
        markets: a dataset of each, with the same columns and kind of label.  Rows without a candle are not ready.
        present_AT: where a market has a candle.
        weight_AT: share of the capital that a position of 1 takes, known at row t, 0 or more, at most 1 in sum.
        x_ATF: features of all markets as one table, of which each market's are a part; not copied where they are that
            already, as those of a panel that comes from a file.

    Raises:
        ConfigError: no market, a name twice, or markets of different lengths, columns or labels.
    """

    symbols: tuple[str, ...]
    markets: tuple[Dataset, ...]
    present_AT: BoolArray
    weight_AT: FloatArray
    x_ATF: Float32Array = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if not self.markets or len(set(self.symbols)) != len(self.markets):
            raise ConfigError("Panel.symbols", got=str(self.symbols), expected=f"{len(self.markets)} different names")
        first = self.markets[0]
        for symbol, market in zip(self.symbols, self.markets, strict=True):
            for name in SHARED:
                if getattr(market, name) != getattr(first, name):
                    raise ConfigError(
                        f"Panel {symbol}, {name}", got=str(getattr(market, name)), expected=str(getattr(first, name))
                    )
            if len(market) != len(first):
                raise ConfigError(f"Panel {symbol}", got=f"{len(market)} rows", expected=f"{len(first)} rows")
            if market.regime_T is not None:
                raise ConfigError(
                    f"Panel {symbol}", got="regimes", expected="none: they are states of a single market so far"
                )
        shape = (len(self.markets), len(first))
        for name in ("present_AT", "weight_AT"):
            if getattr(self, name).shape != shape:
                raise ConfigError(f"Panel.{name}", got=str(getattr(self, name).shape), expected=str(shape))
        sums_T = self.weight_AT.sum(axis=0)
        if not (np.isfinite(self.weight_AT).all() and (self.weight_AT >= 0).all() and (sums_T <= 1 + 1e-9).all()):
            raise ConfigError("Panel.weight_AT", got=f"sums up to {sums_T.max()}", expected="shares, at most 1 in sum")
        x_ATF = _as_one([m.x_TF for m in self.markets])
        object.__setattr__(self, "x_ATF", x_ATF)
        views = tuple(replace(m, x_TF=x_ATF[a]) for a, m in enumerate(self.markets))
        object.__setattr__(self, "markets", views)

    def __len__(self) -> int:
        return len(self.markets[0])

    @property
    def assets(self) -> int:
        """How many markets there are (A)."""
        return len(self.markets)

    @property
    def names(self) -> tuple[str, ...]:
        """Indicator names, one per column of a block; the same in all markets, as all that follows."""
        return self.markets[0].names

    @property
    def groups(self) -> tuple[str, ...]:
        """Group of each indicator."""
        return self.markets[0].groups

    @property
    def transforms(self) -> tuple[str, ...]:
        """Names of the blocks."""
        return self.markets[0].transforms

    @property
    def indicators(self) -> dict[str, str]:
        """Group of each indicator, by name."""
        return self.markets[0].indicators

    @property
    def layout(self) -> Layout:
        """What a network has to know of these columns, and how many markets it sees at once."""
        return replace(self.markets[0].layout, assets=self.assets)

    @property
    def kind(self) -> Literal["binary", "regression"]:
        """Of the labels."""
        return self.markets[0].kind

    @property
    def days_per_year(self) -> int:
        """365 or 252."""
        return self.markets[0].days_per_year

    @property
    def centre_labels(self) -> bool:
        """Whether models learn the label less its training mean."""
        return self.markets[0].centre_labels

    @property
    def purge_rows(self) -> int:
        """Rows past t that a label looks at."""
        return self.markets[0].purge_rows

    @property
    def ready_T(self) -> BoolArray:  # noqa: N802 - ends in its shape
        """Rows on which any market is ready."""
        ready_T: BoolArray = np.any([m.ready_T for m in self.markets], axis=0)
        return ready_T

    def usable(self, reach: int) -> BoolArray:
        """Rows on which a model that reads `reach` rows can be traded in each market, (A, T).

        A market counts by its own rows: where it is read by others too, they see zeros while it is absent.
        """
        return np.stack([m.usable(reach) for m in self.markets])

    def learnable(self, reach: int) -> BoolArray:
        """Rows of these that have a label to learn from, (A, T)."""
        return np.stack([m.learnable(reach) for m in self.markets])


#: What a study is made on.
Market = Dataset | Panel


def each(data: Market, function: Callable[[Dataset], Any]) -> Any:
    """An array for each row: of a dataset as it is, (T, ...); of a panel stacked, (A, T, ...)."""
    return function(data) if isinstance(data, Dataset) else np.stack([function(m) for m in data.markets])


def _as_one(tables: Sequence[Float32Array]) -> Float32Array:
    """Tables (T, F) of several markets as one, (A, T, F): a view where they lie behind each other in one array."""
    first, size = tables[0], tables[0].nbytes
    begin = first.ctypes.data
    apart = [
        table.base is not first.base or not table.flags.c_contiguous or table.ctypes.data != begin + row * size
        for row, table in enumerate(tables)
    ]
    if first.base is None or any(apart):
        return np.stack(tables)
    return np.lib.stride_tricks.as_strided(first, (len(tables), *first.shape), (size, *first.strides))


def part(data: Market, rows: slice) -> Market:
    """Some consecutive rows."""
    if isinstance(data, Dataset):
        return data.rows(rows)
    return Panel(
        symbols=data.symbols,
        markets=tuple(m.rows(rows) for m in data.markets),
        present_AT=data.present_AT[:, rows],
        weight_AT=data.weight_AT[:, rows],
    )


def features_of(data: Market) -> Float32Array:
    """Features of every row: (T, F), or (A, T, F) of a panel."""
    return data.x_TF if isinstance(data, Dataset) else data.x_ATF
