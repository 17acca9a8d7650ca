"""Cost against rows, subnets, layers and width: exponents of the growth, and a picture with `--full`.

CPU of an epoch of training against rows, of a ranking against subnets, of a training step against layers and against
width, each at four sizes.  The exponent is the slope of log cost over log size: 1 is linear.  Products grow
with the square of the width, calls not at all; over these widths the sum of both is below linear or about it.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from curves import Curve, draw
from turns import turns

from speed.figure import Figure
from speed.rank import SPACE
from speed.step import Step
from speed.world import LAYOUT, market
from tradenas.nn import Network
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator
from tradenas.train.fit import fit
from tradenas.train.loop import Training

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "growth.svg"


def chain(layers: int, width: int) -> Network:
    """One path of conv3."""
    space = Chain(
        depths=(layers,), ops=("conv3",), widths=(width,), activations=("relu",), norms=("layer",), dropouts=(0.1,),
        lookbacks=(20,),
    ).space()  # fmt: skip
    return Network(space, LAYOUT)


def costs() -> dict[str, dict[int, Callable[[], object]]]:
    """What runs at each size of each kind."""
    long, template = market(34_000), chain(2, 16)
    training = Training(epochs=1, batch=1024, holdout=0.0, patience=0)

    def epoch(rows: int) -> Callable[[], object]:
        return lambda: fit(template, template.space.smallest(), long, Span(200, 200 + rows), training=training, seed=0)

    evaluator = Evaluator(
        data=long, train=Span(200, 20_000), valid=Span(20_200, 24_200), rule=Rule(), costs=Costs(), calibration=256
    )
    network, rng = Network(SPACE, LAYOUT), rng_for(1, "growth")
    subnets = [SPACE.sample(rng) for _ in range(80)]

    def step(made: Network) -> Callable[[], object]:
        return Step(made, length=128, segments=16).of(made.space.smallest())

    return {
        "rows": {n: epoch(n) for n in (4_000, 8_000, 16_000, 32_000)},
        "subnets": {n: lambda n=n: evaluator.score_paths(network, subnets[:n]) for n in (10, 20, 40, 80)},
        "layers": {n: step(chain(n, 32)) for n in (1, 2, 3, 6)},
        "width": {n: step(chain(4, n)) for n in (16, 32, 64, 128)},
    }


def figures(full: bool) -> Iterator[Figure]:
    curves = []
    for what, runs in costs().items():
        took = turns({str(n): run for n, run in runs.items()}, 9 if full else 3)
        sizes = np.array(list(runs), float)
        ms_NR = np.array([took.ms[str(n)] for n in runs])
        slopes = [float(np.polyfit(np.log(sizes), np.log(ms), 1)[0]) for ms in ms_NR.T]
        told = ", ".join(f"{n}: {statistics.median(took.ms[str(n)]):.3g} ms" for n in runs)
        yield Figure.of(
            f"cost against {what}, exponent", slopes, bar=1.1 if what != "width" else None, at_least=False, unit="",
            note=told,
        )  # fmt: skip
        top = np.median(ms_NR[-1])
        middle, low, high = (np.percentile(ms_NR / top, q, axis=1) for q in (50, 10, 90))
        name = f"{what}, up to {list(runs)[-1]:,}"
        curves.append(Curve(name, sizes / sizes[-1], middle, low, np.minimum(high, 1.05)))
    if full:
        draw(
            PICTURE, "Cost against size, both as shares of the largest", "share of the largest size", curves, line=1.0,
            line_text="",
        )  # fmt: skip
    assert torch.get_num_threads() == 1
