"""Ranking and training by stretches of candles against windows, as ratios in one process and one thread.

    python benchmarks/streaming.py

Ranking: the same subnets of one supernet on the same validation rows, (a) one by one on windows of 64 rows with
torch's own (B, C, L) layers' habit of a batch of 256 windows, (b) in one pass over the series.  Signals must agree.
Training: labelled targets per second of one network on windows against segments of 64 targets.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import torch

from tradenas.nn import Layout, Network, hard
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.splits import Span
from tradenas.train.stream import stream

LOOKBACK, ROWS, SUBNETS, ROUNDS = 64, 8192, 12, 5


def main() -> None:
    torch.set_num_threads(1)
    chain = Chain(
        depths=(4,),
        ops=("dense", "conv3", "conv5", "separable3", "residual", "gated"),
        widths=(16, 32, 64),
        activations=("relu", "gelu", "tanh"),
        norms=("none",),
        dropouts=(0.0,),
        lookbacks=(48,),
    )
    space, layout = chain.space(), Layout(groups=("x",) * 12, transforms=("zscore",))
    network = Network(space, layout).eval()
    x_TF = torch.from_numpy(rng_for(0, "streaming").standard_normal((ROWS + LOOKBACK, 12)).astype(np.float32))
    rng = rng_for(1, "subnets")
    subnets = [space.sample(rng) for _ in range(SUBNETS)]
    span = Span(LOOKBACK, LOOKBACK + ROWS)
    assert all(network.reach(a) <= LOOKBACK for a in subnets)

    def windows(architecture) -> np.ndarray:
        mixture, parts = hard(space, architecture), []
        with torch.inference_mode():
            all_windows = x_TF.as_strided((ROWS + 1, LOOKBACK, 12), (12, 12, 1))[1:]
            parts += [network(all_windows[b : b + 256].contiguous(), mixture)[:, -1] for b in range(0, ROWS, 256)]
        return torch.cat(parts).numpy()

    def one_pass(architecture) -> np.ndarray:
        return stream(network, x_TF, hard(space, architecture), span, reach=LOOKBACK)

    worst = max(float(np.abs(windows(a) - one_pass(a)).max() / np.abs(one_pass(a)).max()) for a in subnets[:4])
    ratios, stream_ms = [], []
    for _ in range(ROUNDS):
        took = {}
        for name, way in (("windows", windows), ("stream", one_pass)):
            began = time.process_time()
            for a in subnets if name == "stream" else subnets[:3]:
                way(a)
            took[name] = (time.process_time() - began) / (SUBNETS if name == "stream" else 3)
        ratios.append(took["windows"] / took["stream"])
        stream_ms.append(took["stream"] * 1e3)
    print(
        f"ranking, {ROWS} rows, L {LOOKBACK}: one pass is x{statistics.median(ratios):.0f} "
        f"({min(ratios):.0f} to {max(ratios):.0f} over {ROUNDS} rounds), {statistics.median(stream_ms):.1f} ms a "
        f"subnet; largest relative difference of signals {worst:.1e}"
    )

    def train(batch_T: int, targets: int, architecture) -> float:
        """CPU seconds a target of one step."""
        alone = network.standalone(architecture, seed=0)
        x_BTF = torch.randn(targets // (batch_T - LOOKBACK + 1), batch_T, 12)
        began = time.process_time()
        for _ in range(3):
            alone.zero_grad()
            alone(x_BTF)[:, LOOKBACK - 1 :].square().mean().backward()
        return (time.process_time() - began) / 3 / targets

    gains = [train(LOOKBACK, 256, a) / train(LOOKBACK + 63, 1024, a) for a in subnets[:5]]
    print(
        f"training: a target of a segment of 64 costs 1/{statistics.median(gains):.1f} of one of a window "
        f"({min(gains):.1f} to {max(gains):.1f} over 5 networks)"
    )


if __name__ == "__main__":
    main()
