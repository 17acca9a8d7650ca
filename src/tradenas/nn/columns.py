"""For each column an op of its own: which block of the feature table it is taken from, or how it is mixed of them.

With x^o the block of op o, and x^o_f its column f:

    an op each     x_f = x^{o(f)}_f                              a gather of F columns, however many ops there are
    a mixture      x_f = sum_o p_fo x^o_f, where `drop` adds 0   DARTS (arXiv:1806.09055) eq. 2, column by column

The ops have no weights and are the same in every step, so they are worked out once, in the table.  A mixture of eight
ops reads eight blocks; what stands behind this point sees F columns and costs what it cost before.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from tradenas.errors import SpaceError
from tradenas.nn.mixture import Mixture, Weighting, weighting
from tradenas.space import Choice, SearchSpace, off_option
from tradenas.space.switches import COLUMN

__all__ = ["OwnOps", "blocks_of", "column_choices"]


def blocks_of(choice: Choice, transforms: Sequence[str]) -> list[int | None]:
    """For each option the block of the table that holds it; None for `drop`, which none holds.

    Raises:
        SpaceError: the table does not hold one of them.
    """
    off = off_option(choice)
    for option in choice.options:
        if option != off and option not in transforms:
            raise SpaceError(choice.name, got=repr(option), expected=f"one of the table's {list(transforms)}")
    return [None if option == off else transforms.index(str(option)) for option in choice.options]


def column_choices(space: SearchSpace, names: Sequence[str]) -> list[Choice]:
    """The choice of each indicator, in the order of the table; none where the space has one transform for all.

    Raises:
        SpaceError: some have one and others have none.
    """
    found = [name for name in names if f"{COLUMN}{name}" in space]
    if found and len(found) < len(names):
        lacking = [name for name in names if name not in found]
        raise SpaceError(
            "input/column",
            got=f"no choice for {', '.join(lacking)}",
            expected="one for each indicator of the table, or one transform for all",
            fix="make the space with the indicators of the table",
        )
    return [space[f"{COLUMN}{name}"] for name in found]


class OwnOps(nn.Module):
    """(B, T, blocks * table) to (B, T, F): each column under the op of its choice, zeros where it is dropped.

    Args:
        choices: of each column of a block.
        transforms: the blocks.
        columns: those of a block that are read; F of them.
    """

    column_F: Tensor
    source_K: Tensor
    target_K: Tensor

    def __init__(self, choices: Sequence[Choice], transforms: Sequence[str], columns: Sequence[int]) -> None:
        super().__init__()
        self.choices = [choices[j] for j in columns]
        self.blocks = [blocks_of(choice, transforms) for choice in self.choices]
        self.columns, self.table, self.num_blocks = list(columns), len(choices), len(transforms)
        # Where the weight of each option stands among those of all choices, and where it belongs in (blocks, F).
        options = [(f, block) for f, blocks in enumerate(self.blocks) for block in blocks]
        kept = [(at, f + block * len(columns)) for at, (f, block) in enumerate(options) if block is not None]
        self.register_buffer("column_F", torch.tensor(self.columns), persistent=False)
        self.register_buffer("source_K", torch.tensor([at for at, _ in kept]), persistent=False)
        self.register_buffer("target_K", torch.tensor([to for _, to in kept]), persistent=False)

    def forward(self, x_BTF: Tensor, mixture: Mixture) -> Tensor:
        which = [weighting(choice, mixture) for choice in self.choices]
        return self.mixed(x_BTF, which) if any(isinstance(w, Tensor) for w in which) else self.taken(x_BTF, which)

    def closed(self, mixture: Mixture) -> Tensor:
        """The columns that are dropped for certain."""
        found = []
        for choice, blocks in zip(self.choices, self.blocks, strict=True):
            which = weighting(choice, mixture)
            if isinstance(which, Tensor):
                found.append(all(block is None or not float(w) for w, block in zip(which, blocks, strict=True)))
            else:
                found.append(blocks[which if isinstance(which, int) else which[0]] is None)
        return torch.tensor(found, device=self.column_F.device)

    def taken(self, x_BTF: Tensor, which: Sequence[Weighting]) -> Tensor:
        """One op each."""
        at = [w if isinstance(w, int) else int(w[0]) for w in which]
        block_F = [blocks[i] for blocks, i in zip(self.blocks, at, strict=True)]
        place_F = [j + (block or 0) * self.table for j, block in zip(self.columns, block_F, strict=True)]
        y_BTF = x_BTF.index_select(-1, torch.tensor(place_F, device=x_BTF.device))
        if None not in block_F:
            return y_BTF
        return y_BTF * y_BTF.new_tensor([float(block is not None) for block in block_F])

    def mixed(self, x_BTF: Tensor, which: Sequence[Weighting]) -> Tensor:
        """A weight for each op of some columns, one op each of the others."""
        weights = []
        for blocks, w in zip(self.blocks, which, strict=True):
            if not isinstance(w, Tensor):
                w = torch.eye(len(blocks), device=x_BTF.device)[w if isinstance(w, int) else w[0]]
            weights.append(w.to(x_BTF))
        kept_K = torch.cat(weights).index_select(0, self.source_K)
        p_OF = kept_K.new_zeros(self.num_blocks * len(self.columns)).index_copy(0, self.target_K, kept_K)
        total: Tensor | None = None
        for block, p_F in enumerate(p_OF.view(self.num_blocks, -1)):
            part = x_BTF.index_select(-1, self.column_F + block * self.table) * p_F
            total = part if total is None else total + part
        assert total is not None
        return total
