"""What a step of differentiable search on cells costs, as ratios in one process and one thread.

    python benchmarks/steps.py --widths 16 32 64 --rounds 7
    python benchmarks/steps.py --parts mixed orders partial

Parts: `mixed`, a mixture of ops against the sum of its ops run as paths; `orders`, second against first order, whole
search steps (alpha step and weight step); `partial`, time and memory of PC-DARTS against K; `authors`, search steps
against the authors' formulation of the same ops (`peer.py`); `merged`, linear ops as one kernel
(`Cell(follow="sum")`) against the same ops one by one, against norms after each op, and against the authors.

CPU time of this process, candidates in turns, round by round; a ratio is the median of the rounds' ratios, with the
smallest and the largest beside it.  Two cells of three nodes, the default ops (`default`) or those of the authors
(`authors`, four nodes), 1,024 targets a step in segments of 64, 12 features, 20 rows of lookback.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from unittest import mock

import peer
import torch
from torch import Tensor
from turns import turns

from tradenas.nn import Layout, Mixture, Mode, Network
from tradenas.nn.elastic import Width
from tradenas.nn.merge import Kernels, Merge
from tradenas.nn.mixture import Weighting
from tradenas.nn.native import off
from tradenas.nn.slot import Branch, Mix, weighted_sum
from tradenas.search.methods.pcdarts import Partial
from tradenas.search.parts.bilevel import WeightStep, first_order, network_loss, second_order
from tradenas.search.parts.relaxation import alphas_for, softmax
from tradenas.space import Cell
from tradenas.train.loss import Objective
from tradenas.train.moves import clipped, forget
from tradenas.train.segments import Batch

FEATURES, SEGMENT, SEGMENTS = 12, 64, 16
Pair = tuple[Tensor, Tensor]
STYLES = {
    "default": Cell(lookbacks=(20,)),
    "authors": Cell(
        nodes=4,
        ops=("zero", "skip", "conv3", "conv5", "separable3", "separable5", "dilated3", "mean5", "max5"),
        norms=("batch",),
        lookbacks=(20,),
    ),
}


def cell(style: str, width: int, **changes: object) -> Cell:
    """The blueprint of one style at one width."""
    base = STYLES[style]
    settings = {name: getattr(base, name) for name in base.__dataclass_fields__ if name != "kind"}
    return Cell(**{**settings, "widths": (width,), **changes})  # type: ignore[arg-type]


class Search:
    """A network, its alphas and optimisers, and the two halves of a search step on fixed batches."""

    def __init__(self, blueprint: Cell, *, mix: Mix = weighted_sum, seed: int = 0) -> None:
        self.space = blueprint.space()
        layout = Layout(groups=("x",) * FEATURES, transforms=blueprint.transforms)
        self.network = Network(self.space, layout, seed=seed, mix=mix)
        generator = torch.Generator().manual_seed(seed)
        rows = self.network.reach() + SEGMENT - 1

        def batch() -> Batch:
            x_BTF = torch.randn(SEGMENTS, rows, FEATURES, generator=generator)
            y_BS = torch.randn(SEGMENTS, SEGMENT, generator=generator)
            return Batch(x_BTF, y_BS, torch.ones_like(y_BS))

        self.train, self.valid = batch(), batch()
        learnt = [c for c in self.space.choices if c.take == 1 and len(c.options) > 1]
        self.alphas = {n: a.requires_grad_() for n, a in alphas_for(learnt, seed=seed).items()}
        self.weights = dict(self.network.named_parameters())
        self.optimizer = torch.optim.SGD(self.network.parameters(), 0.025, momentum=0.9, weight_decay=3e-4, fused=True)
        self.alpha_optimizer = torch.optim.Adam(list(self.alphas.values()), 3e-4, betas=(0.5, 0.999), fused=True)
        self.ways = {c.name: torch.ones(len(c.options)) for c in self.space.choices if c.take > 1}
        self.objective = Objective(kind="regression")

    def mixture(self, alphas: dict[str, Tensor] | None = None) -> Mixture:
        return {**self.ways, **softmax(alphas if alphas is not None else self.alphas)}

    def loss(self, mixture: Mixture, batch: Batch | None = None) -> Tensor:
        batch = batch or self.train
        signal_BT = self.network(batch.x_BTF, mixture, Mode(training=True, scored=SEGMENT))
        return self.objective.loss(signal_BT[:, -SEGMENT:], batch.y_BS, batch.weight_BS)

    def forward_backward(self, mixture: Mixture) -> None:
        """The weights' gradients under a mixture; no step."""
        forget(self.weights.values())
        self.loss(mixture).backward()

    def weight_step(self) -> None:
        self.forward_backward({n: w.detach() for n, w in self.mixture().items()})
        clipped(self.weights.values(), 1.0)
        self.optimizer.step()

    def alpha_step(self, order: str) -> None:
        weights = self.weights
        train, valid = (
            network_loss(self.network, batch, self.objective, self.mixture, seed=0)
            for batch in (self.train, self.valid)
        )
        if order == "first":
            found = first_order(valid, weights, self.alphas)
        else:
            step = WeightStep.of(self.optimizer, weights.items())
            found = second_order(train, valid, weights, self.alphas, step=step, product=order)  # type: ignore[arg-type]
        for name, gradient in found.total().items():
            self.alphas[name].grad = gradient
        self.alpha_optimizer.step()

    def step(self, order: str) -> Callable[[], None]:
        def both() -> None:
            self.alpha_step(order)
            self.weight_step()

        return both


def table(title: str, header: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    header = list(header)
    print(f"\n### {title}\n\n| {' | '.join(header)} |\n|{' --- |' * len(header)}")
    for row in rows:
        print(f"| {' | '.join(map(str, row))} |", flush=True)


def everywhere(search: Search, op: str) -> Mixture:
    """The path with one op on every edge."""
    edges = {c.name: c.index(op) for c in search.space.choices if c.name.endswith("/op")}
    return {**{c.name: tuple(range(len(c.options))) for c in search.space.choices if c.take > 1}, **edges}


def mixed(styles: list[str], widths: list[int], rounds: int) -> None:
    """A mixture against the sum of its ops."""
    rows = []
    for style in styles:
        for width in widths:
            search = Search(cell(style, width))
            ops = STYLES[style].ops
            soft = {n: w.detach() for n, w in search.mixture().items()}

            def paths(search: Search = search, ops: tuple[str, ...] = ops) -> None:
                for op in ops:
                    search.forward_backward(everywhere(search, op))

            def with_alphas(search: Search = search) -> None:
                search.forward_backward(search.mixture())

            found = turns(
                {"mixed": lambda s=search, m=soft: s.forward_backward(m), "alphas": with_alphas, "paths": paths}, rounds
            )
            rows.append((style, width, f"{found.best('mixed'):.0f}", f"{found.best('paths'):.0f}",
                         found.over("mixed", "paths"), found.over("alphas", "mixed")))  # fmt: skip
    table(
        "A mixture against its ops as paths, one after another; forward and backward",
        ("ops", "width", "mixed ms", "paths ms", "mixed / paths", "with gradients in the alphas / without"),
        rows,
    )


def orders(styles: list[str], widths: list[int], rounds: int) -> None:
    """Whole search steps of second against first order."""
    rows = []
    for style in styles:
        for width in widths:
            search = Search(cell(style, width))
            found = turns({order: search.step(order) for order in ("first", "finite", "exact")}, rounds)
            rows.append((style, width, f"{found.best('first'):.0f}", found.over("finite", "first"),
                         found.over("exact", "first")))  # fmt: skip
    table("Second against first order, whole search steps", ("ops", "width", "first ms", "finite", "exact"), rows)


def saved_bytes(search: Search, mixture: Mixture) -> int:
    """What a forward pass keeps for the backward pass, each storage once, without the weights."""
    own = {p.untyped_storage().data_ptr() for p in search.network.parameters()}
    kept: dict[int, tuple[int, Tensor]] = {}

    def pack(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in own:
            kept[storage.data_ptr()] = (storage.nbytes(), tensor)
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        loss = search.loss(mixture)
    total = sum(size for size, _ in kept.values())
    del loss
    return total


def peak(style: str, width: int, parts: int) -> float:
    """MiB by which the peak of a process of its own grows in a search step; freed memory does not count again."""
    out = subprocess.run(
        [sys.executable, __file__, "--peak", style, str(width), str(parts)], capture_output=True, text=True, check=True
    )
    return float(out.stdout)


def _peak_here(style: str, width: int, parts: int) -> None:
    """Linux only: the high-water mark of the resident set, set back after a step on one segment has warmed up."""
    search = Search(cell(style, width), mix=Partial(parts))
    batches = search.train, search.valid
    search.train, search.valid = (Batch(*(t[:1] for t in b)) for b in batches)
    search.step("first")()
    search.train, search.valid = batches
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    before = _high_water()
    search.step("first")()
    print((_high_water() - before) / 1024)


def _high_water() -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1])


def partial(styles: list[str], widths: list[int], rounds: int) -> None:
    """PC-DARTS: one channel of K through the ops."""
    rows = []
    for style in styles:
        width = max(widths)
        made = {k: Search(cell(style, width), mix=Partial(k)) for k in (1, 2, 4, 8)}
        kept = {k: saved_bytes(s, s.mixture()) for k, s in made.items()}
        none = Search(cell(style, width, ops=("zero", "skip")), mix=Partial(1))
        base = saved_bytes(none, none.mixture())
        found = turns({str(k): s.step("first") for k, s in made.items()}, rounds)
        peaks = {k: peak(style, width, k) for k in made}
        rows += [
            (style, width, k, f"{kept[k] / 2**20:.1f}", f"{(kept[k] - base) / (kept[1] - base):.2f}",
             f"{peaks[k]:.0f}", f"{peaks[k] / peaks[1]:.2f}", found.over(str(k), "1"))
            for k in made
        ]  # fmt: skip
    table(
        "PC-DARTS against K",
        ("ops", "width", "K", "saved MiB", "of it above a network of skips, / K = 1", "peak MiB", "/ K = 1", "step"),
        rows,
    )


def authors(styles: list[str], widths: list[int], rounds: int) -> None:
    """Our search steps against the authors' formulation of the same ops on the same rows."""
    rows = []
    for style in styles:
        for width in widths:
            ours, theirs = Search(cell(style, width)), peer_of(style, width)
            train, valid = ((b.x_BTF.transpose(1, 2).contiguous(), b.y_BS) for b in (ours.train, ours.valid))

            def step(order: int, theirs: peer.Search = theirs, train: Pair = train, valid: Pair = valid) -> None:
                theirs.alpha_step(train, valid, order=order)
                theirs.weight_step(train)

            found = turns(
                {
                    "ours 1": ours.step("first"), "ours 2": ours.step("exact"),
                    "theirs 1": lambda step=step: step(1), "theirs 2": lambda step=step: step(2),
                },
                rounds,
            )  # fmt: skip
            rows.append((style, width, f"{found.best('ours 1'):.0f}", f"{found.best('theirs 1'):.0f}",
                         found.over("theirs 1", "ours 1"), found.over("theirs 2", "ours 2")))  # fmt: skip
    table(
        "The authors' formulation against ours, whole search steps",
        ("ops", "width", "ours ms", "theirs ms", "first order", "second order (ours exact, theirs finite)"),
        rows,
    )


def peer_of(style: str, width: int) -> peer.Search:
    base = STYLES[style]
    network = peer.Peer(base.ops, features=FEATURES, width=width, nodes=base.nodes, cells=base.cells[0])
    return peer.Search(network)


def unmerged(branch: Branch, x_BTC: Tensor, which: Weighting, width: Width) -> Tensor:
    """The sum of the ops one by one, whatever may be merged."""
    assert isinstance(which, Tensor)
    return torch.stack([which[o] * branch(o, x_BTC, width) for o in range(len(which))]).sum(0)


def products(search: Search) -> Callable[[], None]:
    """The matrix products of a merged forward and backward pass and nothing else, into tensors that are there."""
    made, own = [], Merge.run

    def noting(self: Merge, x_BTC: Tensor, kernels: Kernels, width: Width, rows: int) -> list[Tensor]:
        assert kernels.kernel_YX is not None
        w = torch.randn(kernels.kernel_YX.shape)
        made.append((torch.randn(x_BTC.shape[0] * rows, w.shape[1]), w, torch.randn(x_BTC.shape[0] * rows, len(w))))
        return own(self, x_BTC, kernels, width, rows)

    with off(), mock.patch.object(Merge, "run", noting), torch.no_grad():
        search.loss(search.mixture())
    outs = [tuple(torch.empty_like(t) for t in each) for each in made]

    def run() -> None:
        for (x, w, g), (dx, dw, y) in zip(made, outs, strict=True):
            torch.mm(x, w.t(), out=y)
            torch.mm(g, w, out=dx)
            torch.mm(g.t(), x, out=dw)

    return run


def merged(styles: list[str], widths: list[int], rounds: int) -> None:
    """Linear ops as one kernel against one by one, against norms after each op, and against the authors' step."""
    rows = []
    for style in styles:
        for width in widths:
            one = Search(cell(style, width, follow="sum"))
            many = Search(cell(style, width, follow="sum"), mix=unmerged)
            each, theirs = Search(cell(style, width)), peer_of(style, width)
            train, valid = ((b.x_BTF.transpose(1, 2).contiguous(), b.y_BS) for b in (one.train, one.valid))

            def step(order: int, theirs: peer.Search = theirs, train: Pair = train, valid: Pair = valid) -> None:
                theirs.alpha_step(train, valid, order=order)
                theirs.weight_step(train)

            found = turns(
                {
                    "pass": lambda one=one: one.forward_backward(one.mixture()), "products": products(one),
                    "merged": one.step("first"), "unmerged": many.step("first"), "each": each.step("first"),
                    "theirs": lambda step=step: step(1),
                    "merged 2": one.step("exact"), "unmerged 2": many.step("exact"),
                    "theirs 2": lambda step=step: step(2),
                },
                rounds,
            )  # fmt: skip
            rows.append((style, width, f"{found.best('merged'):.0f}", *(found.over(a, b) for a, b in (
                ("unmerged", "merged"), ("each", "merged"), ("theirs", "merged"), ("unmerged 2", "merged 2"),
                ("theirs 2", "merged 2"), ("merged 2", "merged"), ("pass", "products"),
            ))))  # fmt: skip
    table(
        "Merged: how many times as long the others take, whole search steps; and one pass against its products alone",
        ("ops", "width", "merged ms", "unmerged", "norm after each op", "authors", "unmerged, second order",
         "authors, second order", "second / first order", "pass / its products"),
        rows,
    )  # fmt: skip


PARTS = {"mixed": mixed, "orders": orders, "partial": partial, "authors": authors, "merged": merged}


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=list(PARTS), choices=list(PARTS))
    parser.add_argument("--styles", nargs="+", default=list(STYLES), choices=list(STYLES))
    parser.add_argument("--widths", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--peak", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    if arguments.peak:
        _peak_here(arguments.peak[0], int(arguments.peak[1]), int(arguments.peak[2]))
        return
    for part in arguments.parts:
        PARTS[part](arguments.styles, arguments.widths, arguments.rounds)


if __name__ == "__main__":
    main()
