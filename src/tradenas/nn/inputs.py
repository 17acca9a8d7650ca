"""From a feature table to channels: which transform or ops, which feature groups, which indicators, how far back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from tradenas.errors import SpaceError
from tradenas.nn.bank import LONG, filter_bank
from tradenas.nn.columns import OwnOps, blocks_of, column_choices
from tradenas.nn.elastic import Count
from tradenas.nn.mixture import Mixture, weighting
from tradenas.nn.mode import Kept
from tradenas.nn.native.moves import moves, plain
from tradenas.nn.precision import Precision
from tradenas.registry import did_you_mean
from tradenas.space import Choice, Picked, SearchSpace, closed, is_single, is_switch, off_option
from tradenas.space.fixed import FILTERED, INPUT
from tradenas.space.switches import COLUMN

__all__ = ["Inputs", "Layout"]


@dataclass(frozen=True, kw_only=True)
class Layout:
    """How the columns of a feature table stand: one block of the same indicators per transform.

    Attributes:
        groups: group of each indicator; their number is the number of features F.
        transforms: the blocks, in order.
        names: of the indicators; needed only where single ones may be switched off, or have ops of their own.
        assets: markets that a network sees at once, as part of its batch: row `b * assets + a` is market a.  Ops that
            mix assets need two or more; the others do not know of them.
    """

    groups: tuple[str, ...]
    transforms: tuple[str, ...]
    names: tuple[str, ...] = ()
    assets: int = 1

    def __post_init__(self) -> None:
        if self.assets < 1:
            raise SpaceError("Layout.assets", got=self.assets, expected="1 or more")


class Inputs(nn.Module):
    """(B, T, blocks * F) to (B, T, 2 * F): the chosen block, and the same features through a filter bank.

    With ops of their own (`OwnOps`) columns come from different blocks.  An indicator or a group that is off, and a
    column that is dropped, is zeros.  An indicator that can never be on (in a standalone network, say) has no columns
    at all: F counts those that are left, and `columns` says which of the table's they are.

    The bank has one causal filter per feature with `lookback` taps (tap j reads row t - j), the longest lookback's
    taps being a prefix-slice away from the shortest's.  It is the network's long memory at the price of one multiply
    per tap: what a convolution of a few rows cannot reach (a lag of 37, a slow average) is one weight here.
    """

    member_SF: Tensor
    column_F: Tensor

    def __init__(self, space: SearchSpace, layout: Layout) -> None:
        super().__init__()
        self.lookback = space["input/lookback"]
        self.table = len(layout.groups)
        self.closing = [(c, _members(c, layout)) for c in space.choices if is_switch(c.name)]
        never = {j for c, m in self.closing if is_single(c.name) and c.options == (off_option(c),) for j in m}
        self.columns = [j for j in range(self.table) if j not in never]
        self.features = len(self.columns)
        free = {j for c, m in self.closing if off_option(c) is not None for j in m}
        if not self.columns or (len(free) == self.table and not space.not_all):
            raise SpaceError(
                "input",
                got="a space with a network that reads nothing",
                expected="at least one indicator that is on",
                fix="make the space with Chain.space(indicators), which sees to it",
            )
        choices = column_choices(space, layout.names)
        self.transform = None if choices else space["input/transform"]
        self.blocks = [] if self.transform is None else blocks_of(self.transform, layout.transforms)
        self.own = OwnOps(choices, layout.transforms, self.columns) if choices else None
        self.switches = [c for c, _ in self.closing if not c.name.startswith(COLUMN)]
        member_SF = torch.zeros(len(self.switches), self.table)
        for s, members in enumerate(m for c, m in self.closing if c in self.switches):
            member_SF[s, members] = 1.0
        self.register_buffer("member_SF", member_SF[:, self.columns], persistent=False)
        self.register_buffer("column_F", torch.tensor(self.columns), persistent=False)
        self.taps = nn.Parameter(torch.empty(self.features, max(int(n) for n in self.lookback.options)))

    def reset(self, generator: torch.Generator) -> None:  # noqa: ARG002
        """Closed taps: the filters say nothing until the data open them, or they would be so much noise."""
        nn.init.zeros_(self.taps)

    def shrink(self, amount: float | Tensor) -> None:
        """Moves the taps that the last step reached towards 0 by `amount`, not past it; stacked ones by (N, 1, 1).

        The proximal step of the lasso (Tibshirani 1996; ISTA, Daubechies et al. 2004): of some thousand taps a market
        uses a few, and the rest would be fitted to noise.  Taps outside the step's lookback are left alone.
        """
        if self.taps.grad is None or (isinstance(amount, float) and amount == 0.0):
            return
        compiled = moves()
        if compiled is not None and isinstance(amount, float) and plain(self.taps, self.taps.grad):
            compiled.tn_shrink(self.taps.data_ptr(), self.taps.grad.data_ptr(), self.taps.numel(), amount)
            return
        with torch.no_grad():
            shrunk = torch.sign(self.taps) * (self.taps.abs() - amount).clamp_min(0.0)
            self.taps.copy_(torch.where(self.taps.grad != 0, shrunk, self.taps))

    def forward(self, x_BTF: Tensor, mixture: Mixture, *, rows: int = 0, kept: Kept | None = None) -> Tensor:
        """The channels of the last `rows` rows, of all where it is 0; `kept` is that of `Mode`."""
        block_BTF, rows = self.block(x_BTF, mixture), min(rows, x_BTF.shape[-2])
        open_F = self.share_open(mixture)
        x_BTF = block_BTF if open_F is None else block_BTF * open_F
        if kept is None:
            filtered_BTF = self.filtered(x_BTF, mixture, rows=rows)
        else:  # of all columns and rows, so that paths with other switches or a longer reach can read it
            if "filtered" not in kept:
                kept["filtered"] = self.filtered(block_BTF, mixture)
            filtered_BTF = kept["filtered"][..., -rows:, :]
            filtered_BTF = filtered_BTF if open_F is None else filtered_BTF * open_F
        return torch.cat([x_BTF[..., -rows:, :], filtered_BTF], dim=-1)

    def rounded(
        self, x_BTF: Tensor, mixture: Mixture, precision: Precision, *, rows: int = 0
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """The channels under a precision, the sum of the filters as it was before it was rounded, and what is open."""
        rows = min(rows, x_BTF.shape[-2])
        x_BTF, share_F = self.block(x_BTF, mixture), self.share_open(mixture)
        x_BTF = precision.value(x_BTF if share_F is None else x_BTF * share_F, INPUT)
        open_F = self.open(mixture)
        filtered_BTF = self.filtered(x_BTF, mixture, precision.at_edge(), open_F, rows=rows)
        x_BTC = torch.cat([x_BTF[..., -rows:, :], precision.value(filtered_BTF, FILTERED)], dim=-1)
        return x_BTC, filtered_BTF.sum(-1), None if open_F is None else torch.cat([open_F, open_F])

    def open(self, mixture: Mixture) -> Tensor | None:
        """The features that are read; None for all of them."""
        closed: list[Tensor] = []
        for choice, member_F in zip(self.switches, self.member_SF, strict=True):
            which = weighting(choice, mixture)
            if "off" in choice.options:
                off = choice.options.index("off")
                if which[off] >= 1.0 if isinstance(which, Tensor) else which == off:
                    closed.append(member_F > 0)
        if self.own is not None:
            closed.append(self.own.closed(mixture))
        if not any(bool(part_F.any()) for part_F in closed):
            return None
        return ~torch.stack(closed).any(0)

    @property
    def places(self) -> tuple[int, ...] | None:
        """Where the channels of `forward` stand among those of the whole table; None where none is left out."""
        left = self.features < self.table
        return (*self.columns, *(self.table + j for j in self.columns)) if left else None

    def block(self, x_BTF: Tensor, mixture: Mixture) -> Tensor:
        """The columns of the chosen transform, or each of its own."""
        if self.own is not None:
            own_BTF: Tensor = self.own(x_BTF, mixture)
            return own_BTF
        assert self.transform is not None
        which = weighting(self.transform, mixture)
        if isinstance(which, Tensor):
            return torch.stack([w * self._columns(x_BTF, b) for w, b in zip(which, self.blocks, strict=True)]).sum(0)
        return self._columns(x_BTF, self.blocks[which if isinstance(which, int) else which[0]])

    def _columns(self, x_BTF: Tensor, block: int | None) -> Tensor:
        assert block is not None
        if self.features == self.table:
            return x_BTF[..., block * self.table : (block + 1) * self.table]
        return x_BTF.index_select(-1, self.column_F + block * self.table)

    def share_open(self, mixture: Mixture) -> Tensor | None:
        """The share of each column that groups and indicators leave on; None where all are."""
        open_F: Tensor | None = None
        for choice, member_F in zip(self.switches, self.member_SF, strict=True):
            which = weighting(choice, mixture)
            off = choice.options.index("off") if "off" in choice.options else None
            if off is None or (isinstance(which, int) and which != off):
                continue
            share_off = which[off] if isinstance(which, Tensor) else 1.0
            part_F = 1.0 - share_off * member_F
            open_F = part_F if open_F is None else open_F * part_F
        return open_F

    def filtered(
        self,
        x_BTF: Tensor,
        mixture: Mixture,
        precision: Precision | None = None,
        open_F: Tensor | None = None,
        *,
        rows: int = 0,
    ) -> Tensor:
        """Each feature through its filter of `lookback` taps; of the last `rows` rows, or of all."""
        which = weighting(self.lookback, mixture)
        lengths = [int(n) for n in self.lookback.options]
        open_L: Tensor | None = None
        taps_FL: Tensor = self.taps
        if isinstance(which, Tensor):
            lags = torch.arange(self.taps.shape[-1], device=which.device)
            open_L = which @ torch.stack([lags < n for n in lengths]).to(which.dtype)
        else:
            taps_FL = self.taps[..., : lengths[which if isinstance(which, int) else which[0]]]
        if precision is not None:
            there_L = None if open_L is None else open_L.detach() > 0
            taps_FL = precision.reading(there_L).weight(taps_FL, rows=open_F, stacked=taps_FL.ndim == 3)
        if open_L is not None:
            taps_FL = taps_FL * open_L
        if taps_FL.ndim == 3 or taps_FL.shape[1] >= LONG:  # stacked networks, and where a convolution is the slower way
            return filter_bank(x_BTF, taps_FL, rows)
        rows, length = rows or x_BTF.shape[-2], taps_FL.shape[1]
        x_BTF = x_BTF[:, -(rows + length - 1) :]
        missing = rows + length - 1 - x_BTF.shape[-2]
        x_BF1T = (F.pad(x_BTF, (0, 0, missing, 0)) if missing else x_BTF).transpose(1, 2).unsqueeze(2)
        kernel = taps_FL.flip(1)[:, None, None, :].contiguous(memory_format=torch.channels_last)
        return F.conv2d(x_BF1T, kernel, groups=self.features).squeeze(2).transpose(1, 2)

    def read(self, architecture: Mapping[str, Picked]) -> int:
        """How many indicators an architecture reads."""
        return self.table - len(set().union(*(m for c, m in self.closing if closed(c.name, architecture))))

    def count(self, architecture: Mapping[str, Picked]) -> tuple[int, Count]:
        """The features that are read, and one weight and one multiply for each of their taps.

        A single indicator that is off costs nothing; one of a group that is off is still carried along as zeros.
        """
        features = self.features - sum(is_single(c.name) and closed(c.name, architecture) for c, _ in self.closing)
        features += self.table - self.features  # counted with the switches that closed them for good
        taps = features * int(str(architecture["input/lookback"]))
        return features, Count(parameters=taps, macs=taps).at_edge()


def _members(choice: Choice, layout: Layout) -> list[int]:
    """The columns of a block that a switch closes."""
    known = layout.names if is_single(choice.name) else layout.groups
    what, name = choice.name.removeprefix("input/").split("/", 1)
    if name not in known:
        raise SpaceError(
            choice.name,
            got=f"no such {what}",
            expected=f"one of the table's {sorted(set(known))}",
            fix=did_you_mean(name, sorted(set(known))),
        )
    return [j for j, other in enumerate(known) if other == name]
