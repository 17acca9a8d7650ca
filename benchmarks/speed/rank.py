"""200 subnets ranked on a validation series: one pass each against one by one on windows, scores and all.

The slow way is that of most code: each subnet's module in (B, C, T), every window of 64 rows by itself, batches of 256
(`plain.py`).  Ours is what a search does: `Evaluator.score_paths` over the shared weights.  Both end in the same
scores (loss, IC, net Sharpe ratio), which are part of the time and have to be the same up to rounding, as has the
order.  The slow way is timed on a few subnets of all kinds, ours on all 200.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator

import numpy as np
import torch

from speed.figure import Figure
from speed.plain import Plain, on_windows, windows_of
from speed.world import LAYOUT, market
from tradenas.nn import Network, hard
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.backtest import Costs, Rule
from tradenas.train.evaluate import Evaluator, Signals
from tradenas.train.fit import mean_loss
from tradenas.train.portfolio import usual_size

LOOKBACK, ROWS, SUBNETS, SLOW = 64, 8192, 200, 4
SPACE = Chain(
    depths=(4,), ops=("dense", "conv3", "conv5", "separable3", "residual", "gated"), widths=(16, 32, 64),
    activations=("relu", "gelu", "tanh"), norms=("none",), dropouts=(0.0,), lookbacks=(47,),
).space()  # fmt: skip


def figures(full: bool) -> Iterator[Figure]:
    data = market(rows=4 * ROWS)
    train, valid = Span(0, len(data) - ROWS - 100), Span(len(data) - ROWS, len(data))
    evaluator = Evaluator(
        data=data, train=train, valid=valid, rule=Rule(), costs=Costs(taker_bps=5.0, slippage_bps=1.0), calibration=256
    )
    network = Network(SPACE, LAYOUT, seed=3)
    with torch.no_grad():  # taps begin at 0
        network.inputs.taps.normal_(std=0.05, generator=torch.Generator().manual_seed(0))
    rng = rng_for(1, "subnets")
    subnets = [SPACE.sample(rng) for _ in range(SUBNETS)]
    assert all(network.reach(a) <= LOOKBACK for a in subnets)
    x_TF = torch.from_numpy(np.ascontiguousarray(data.x_TF))
    both = Span(train.stop - 256, valid.stop)
    rows_WFL = windows_of(x_TF[both.start - LOOKBACK + 1 :], LOOKBACK)

    def one_by_one(few, *, windows=True):
        """As `Evaluator` scores them, but for where the signals come from."""
        found = []
        for a in few:
            if windows:
                alone = network.inherit(SPACE.fix(a))
                output = on_windows(Plain(alone, a).eval(), rows_WFL).numpy()
            else:
                mixture = hard(SPACE, a)
                with torch.inference_mode():
                    parts = [network(w.transpose(1, 2).contiguous(), mixture)[:, -1] for w in rows_WFL.split(256)]
                output = torch.cat(parts).numpy()
            signal = evaluator.objective.signal(output.astype(float), data, both)
            usable, calibrated = data.usable(network.reach(a)), 256
            later = valid.start - both.start
            loss = mean_loss(evaluator.objective, data, valid, output[later:], network.reach(a))
            found.append(evaluator.scores_of(Signals(
                signal[later:], usual_size(signal[:calibrated], usable[train.stop - 256 : train.stop]),
                usable[valid.slice], {"loss": loss}, output[later:],
            )))  # fmt: skip
        return found

    some = sorted(subnets[:40], key=lambda a: network.count(a).macs)
    few = [some[i] for i in np.linspace(0, len(some) - 1, SLOW).astype(int)]
    ours, slow = evaluator.score_paths(network, few), one_by_one(few)
    apart = max(
        abs(a[k] - b[k]) / max(abs(b[k]), 1e-3) for a, b in zip(ours, slow, strict=True) for k in ("loss", "ic")
    )
    order = [np.argsort([s["ic"] for s in scores]).tolist() for scores in (ours, slow)]
    assert order[0] == order[1], "the two ways rank differently"

    def cpu(run) -> float:
        began = time.process_time()
        run()
        return time.process_time() - began

    plain, own, each = [], [], []
    many = few * (SUBNETS // SLOW)  # 200 of the kinds that the slow way is timed on
    for _ in range(5 if full else 3):
        fast = cpu(lambda: evaluator.score_paths(network, many)) / SUBNETS
        plain.append(cpu(lambda: one_by_one(few)) / SLOW / fast)
        own.append(cpu(lambda: one_by_one(few, windows=False)) / SLOW / fast)
        each.append(1e3 * cpu(lambda: evaluator.score_paths(network, subnets)) / SUBNETS)
    note = f"{ROWS} rows, L {LOOKBACK}; scores differ by {apart:.0e} at most, same order; "
    note += f"{statistics.median(each):.1f} ms a subnet of 200"
    yield Figure.of("subnets ranked, against one by one on windows", plain, bar=75, note=note)
    yield Figure.of("the same, windows through our own layers", own, note="channels-last, batches of 256")
