"""A recurrent network as a circuit: a GRU or minGRU trained in fixed point on a run's rows, and proved to the bit.

    python benchmarks/fpga_cells.py RUN [--cell mingru] [--width 8] [--seeds 2]      # ~10 minutes, most of it nextpnr

The cell (`tradenas.formats.program.GatedCell`) reads 16 rows from a state of zero, as the recurrent ops of a search do,
but with weights, gates and states that are rounded (`tradenas.nn.quant`).  It learns the run's own labels on its search
zone; its signals on every window of the selection zone, by torch, are what the circuit must say.  Beside it the same
cell in floating point, trained alike, for what rounding costs.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
import torch
from fpga import prove
from torch import Tensor, nn

from tradenas.formats.program import Fixed, GatedCell, Input, Program, Quantise, Taps
from tradenas.formats.reference import run_windows
from tradenas.nn.quant import fixed_point, quantised_weight
from tradenas.seeds import rng_for, seed_for
from tradenas.study.exporting import subject_of
from tradenas.study.trained import TrainedStrategy
from tradenas.typing import FloatArray

ROWS = 16
INPUT, SOURCE, GATE, STATE, BIAS = Fixed(1, 3, 4), Fixed(1, 2, 3), Fixed(0, 0, 5), Fixed(1, 0, 5), Fixed(1, 1, 5)


class Cell(nn.Module):
    """A gated cell and a dense head, rounded or not."""

    def __init__(self, cell: str, columns: int, width: int, *, bits: str, sparsity: float) -> None:
        super().__init__()
        self.cell, self.width, self.bits, self.sparsity = cell, width, bits, sparsity
        gates, hidden = (3, 3) if cell == "gru" else (2, 0)
        generator = torch.Generator().manual_seed(seed_for(0, "fpga_cells", cell))
        self.input = nn.Parameter(torch.randn(gates * width, columns, generator=generator) / columns**0.5)
        self.hidden = nn.Parameter(torch.randn(hidden * width, width, generator=generator) / width**0.5)
        self.bias = nn.Parameter(torch.zeros(gates * width))
        self.bias_hidden = nn.Parameter(torch.zeros(hidden * width))
        self.head = nn.Parameter(torch.randn(1, width, generator=generator) / width**0.5)

    def rounded(self, x: Tensor, fixed: Fixed) -> Tensor:
        return x if self.bits == "float" else fixed_point(x, fixed)

    def weights(self) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
        if self.bits == "float":
            return self.input, self.hidden, self.bias, self.bias_hidden, self.head
        return (
            quantised_weight(self.input, self.bits, self.sparsity),
            quantised_weight(self.hidden, self.bits, self.sparsity) if self.hidden.numel() else self.hidden,
            fixed_point(self.bias, BIAS), fixed_point(self.bias_hidden, BIAS), quantised_weight(self.head, "6"),
        )  # fmt: skip

    def forward(self, x_NRF: Tensor) -> Tensor:
        w, u, b, c, head = self.weights()
        x_NRF = self.rounded(x_NRF, INPUT)
        h = x_NRF.new_zeros(len(x_NRF), self.width)

        def gate(sums: Tensor) -> Tensor:
            return self.rounded(torch.sigmoid(self.rounded(sums, SOURCE)), GATE)

        def new(sums: Tensor) -> Tensor:
            return self.rounded(torch.tanh(self.rounded(sums, SOURCE)), STATE)

        for row in range(ROWS):
            read = (x_NRF[:, row] @ w.T + b).split(self.width, 1)
            if self.cell == "mingru":
                h = self.rounded(h + gate(read[0]) * (new(read[1]) - h), STATE)
                continue
            kept = (h @ u.T + c).split(self.width, 1)
            reset, update = gate(read[0] + kept[0]), gate(read[1] + kept[1])
            candidate = new(read[2] + reset * self.rounded(kept[2], SOURCE))
            h = self.rounded(candidate + update * (h - candidate), STATE)
        return (h @ head.T)[:, 0]

    def program(self, columns: tuple[int, ...], names: tuple[str, ...]) -> Program:
        w, u, b, c, head = (part.detach().double().numpy() for part in self.weights())
        return Program(
            steps=(
                Input(name="rows", channels=len(columns)),
                Quantise(name="rounded", reads=("rows",), channels=len(columns), fixed=INPUT),
                GatedCell(
                    name="cell", reads=("rounded",), channels=self.width, cell=self.cell, rows=ROWS,  # type: ignore[arg-type]
                    weight_input=w, weight_hidden=u, bias_input=b, bias_hidden=c, source=SOURCE, gate=GATE, state=STATE,
                ),
                Taps(name="signal", reads=("cell",), channels=1, weight=head[:, :, None], bias=np.zeros(1), at=(0,)),
            ),
            output="signal", columns=columns, names=names,
        )  # fmt: skip


def windows_of(rows_TF: FloatArray, at: FloatArray) -> Tensor:
    """The 16 rows up to each of some rows."""
    back = np.arange(ROWS - 1, -1, -1)
    return torch.from_numpy(np.ascontiguousarray(rows_TF[at[:, None] - back], dtype=np.float32))


def spoken(net: Cell, rows_TF: FloatArray, at: FloatArray) -> FloatArray:
    """Signals at some rows, a few thousand at a time."""
    parts = [net(windows_of(rows_TF, at[i : i + 4096])).double().numpy() for i in range(0, len(at), 4096)]
    return np.concatenate(parts)


def trained_cell(net: Cell, rows_TF: FloatArray, labels_T: FloatArray, at: FloatArray, steps: int) -> Cell:
    """Adam on the mean squared error of clipped labels."""
    rng, optimiser = rng_for(0, "fpga_cells", "batches"), torch.optim.Adam(net.parameters(), 3e-3)
    for _ in range(steps):
        some = rng.choice(at, 512, replace=False)
        target = torch.from_numpy(np.clip(labels_T[some], -3, 3)).float()
        optimiser.zero_grad()
        (net(windows_of(rows_TF, some)) - target).square().mean().backward()
        optimiser.step()
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("--cell", default="gru", choices=("gru", "mingru"))
    parser.add_argument("--width", type=int, default=8)
    parser.add_argument("--bits", default="4")
    parser.add_argument("--sparsity", type=float, default=0.5)
    parser.add_argument("--steps", type=int, default=400)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--depth", type=int, default=2)
    parser.add_argument("--stages", type=int, nargs="*", default=[0])
    parser.add_argument("--out", type=Path, required=True)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    trained = TrainedStrategy.load(asked.run, "")
    subject, data = subject_of(trained, (0,)), trained.data
    columns = subject.program.columns
    rows_TF = np.asarray(data.x_TF[:, list(columns)], dtype=np.float64)  # type: ignore[union-attr]
    labels_T = np.asarray(trained.fitted[0].objective.labels(data))  # type: ignore[arg-type]
    ready = np.flatnonzero(np.isfinite(labels_T) & np.isfinite(rows_TF).all(1) & data.usable(ROWS))  # type: ignore[union-attr]
    search, zone = trained.rows, trained.zones.selection
    learn = ready[(ready >= search.start + ROWS) & (ready < search.stop)]
    judge = ready[(ready >= zone.start + ROWS) & (ready < zone.stop)]
    scores = {}
    nets = {}
    for bits in ("float", asked.bits):
        net = Cell(asked.cell, len(columns), asked.width, bits=bits, sparsity=asked.sparsity)
        nets[bits] = trained_cell(net, rows_TF, labels_T, learn, asked.steps).eval()
        with torch.inference_mode():
            said = spoken(net, rows_TF, judge)
        ic = float(np.corrcoef(said, labels_T[judge])[0, 1])
        accuracy = float(np.mean(np.sign(said) == np.sign(labels_T[judge])))
        scores[bits] = {"ic_points": round(100 * ic, 2), "accuracy_points": round(100 * accuracy, 2)}
    print(json.dumps({"rows judged": len(judge), **scores}), flush=True)
    net = nets[asked.bits]
    program = net.program(columns, subject.program.names)
    stretch = np.asarray(subject.rows_TF, dtype=np.float64)
    stretch = stretch[np.isfinite(stretch).all(1)].astype(np.float32).astype(np.float64)
    every = np.arange(ROWS - 1, len(stretch))
    with torch.inference_mode():
        said = spoken(net, stretch, every)
    sample = windows_of(stretch, every[:200]).double().numpy()
    assert np.array_equal(run_windows(program, sample), said[:200]), "torch and the reference differ"
    prove(program, asked.out, stretch, said, range(1, asked.seeds + 1), tuple(asked.stages), asked.depth)


if __name__ == "__main__":
    main()
