"""Hypergradients of DARTS: against a closed form, beside what published packages compute; and what a step costs.

    python benchmarks/bilevel.py [--instances 20] [--rounds 9]

The problem, its closed form and the defects are in `tests/search/hypergradients.py`: L_train = |w|^2 / 2 + w' B a +
0.15 |a|^2 |w|^2, L_valid = |w - b|^2 / 2 + c' a + |a|^2 |w|^2 / 2, one step of SGD with momentum 0.9, weight decay
3e-4, lr 0.1 and a random buffer, 10 weights and 5 alphas, all numbers normal (alphas times 1/2).  Rows that name a
package stand for the defect reproduced, not their code.  Prints Markdown.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

from search.hypergradients import MUTANTS, Problem, cosine, error, flat
from tradenas.nn import Layout, Network
from tradenas.search.parts.bilevel import WeightStep, first_order, network_loss, second_order
from tradenas.search.parts.relaxation import alphas_for, softmax
from tradenas.seeds import rng_for
from tradenas.space import Chain
from tradenas.train.loss import Objective
from tradenas.train.segments import Batch

OPS = ("skip", "dense", "conv3", "separable3", "gated")


def ours(product: str, dtype: torch.dtype) -> Callable[[int], tuple[Tensor, Tensor]]:
    """Total and implicit term of this package."""

    def compute(seed: int) -> tuple[Tensor, Tensor]:
        p = Problem(seed, dtype=dtype)
        h = second_order(p.train, p.valid, p.weights, p.alphas, step=p.step, product=product)
        return flat(h.total()).double(), flat(h.implicit).double()

    return compute


def closed_form(instances: int) -> None:
    print(f"\n### Against the closed form: one instance, and the range over {instances}\n")
    print("| hypergradient | stands for | relative error | over the instances | implicit term alone | cosine |")
    print("| --- | --- | --- | --- | --- | --- |")
    for name, product, dtype in (
        ("**tradenas, exact product**", "exact", torch.float64),
        ("**tradenas, finite differences**", "finite", torch.float64),
        ("**tradenas, exact product, float32**", "exact", torch.float32),
        ("**tradenas, finite differences, float32**", "finite", torch.float32),
    ):
        compute = ours(product, dtype)
        alone = max(error(compute(seed)[1], Problem(seed).truth().implicit) for seed in range(instances))
        row(name, "", lambda seed, compute=compute: compute(seed)[0], instances, f"{alone:.0e}")
    for name, (who, compute, _) in MUTANTS.items():
        row(name, who, lambda seed, compute=compute: compute(Problem(seed)), instances, "")


def row(name: str, who: str, compute: Callable[[int], Tensor], instances: int, alone: str) -> None:
    truths = [Problem(seed).truth().total for seed in range(instances)]
    errors = [error(compute(seed), truth) for seed, truth in enumerate(truths)]
    angle = cosine(compute(0), truths[0])
    print(
        f"| {name} | {who} | {errors[0]:.2g} | {min(errors):.1g} to {max(errors):.1g} | "
        f"{alone and '< ' + alone} | {angle:.4f} |"
    )


def world(activation: str, dtype: torch.dtype) -> tuple:
    """Two layers of five ops and 16 channels, 1,024 targets a batch in segments of 64; ops are soft."""
    chain = Chain(
        depths=(2,), ops=OPS, widths=(16,), activations=(activation,), norms=("layer",), dropouts=(0.0,),
        lookbacks=(20,),
    )  # fmt: skip
    space, rng = chain.space(), rng_for(0, "bilevel")
    network = Network(space, Layout(groups=("x",) * 12, transforms=("zscore",)), seed=0).to(dtype)
    alphas = alphas_for([c for c in space.choices if len(c.options) > 1], seed=0, dtype=dtype)
    optimizer = torch.optim.SGD(network.parameters(), lr=0.025, momentum=0.9, weight_decay=3e-4)
    rows = network.reach() - 1 + 64
    batches = []
    for _ in range(2):
        x_BTF = torch.from_numpy(rng.standard_normal((16, rows, 12)).astype(np.float32)).to(dtype)
        y_BS = (x_BTF[:, -64:, 0] + x_BTF[:, -65:-1, 1] * x_BTF[:, -64:, 2] > 0).to(dtype)
        batches.append(Batch(x_BTF, y_BS, torch.ones_like(y_BS)))
    losses = [network_loss(network, b, Objective(kind="binary"), softmax, seed=i) for i, b in enumerate(batches)]
    return network, alphas, optimizer, *losses


def weight_step(network: Network, alphas: dict[str, Tensor], optimizer: torch.optim.Optimizer, train) -> None:
    optimizer.zero_grad(set_to_none=True)
    train(dict(network.named_parameters()), alphas).backward()
    optimizer.step()


def gradient(kind: str, network, alphas, optimizer, train, valid):
    weights = dict(network.named_parameters())
    if kind == "first":
        return first_order(valid, weights, alphas)
    step = WeightStep.of(optimizer, weights.items())
    return second_order(train, valid, weights, alphas, step=step, product=kind)


def on_a_network() -> None:
    """Where units switch on and off (ReLU) the two products are two quantities: the gradient in an alpha jumps there.

    The exact product is the derivative between the jumps, finite differences count those within R, with their noise.
    """
    print("\n### On a network, 30 steps trained: distance from the exact product in float64, implicit term alone\n")
    print("| activation | finite, float64 | finite, float32 | exact, float32 | implicit term / gradient |")
    print("| --- | --- | --- | --- | --- |")
    for activation in ("gelu", "tanh", "relu"):
        found = {}
        for dtype in (torch.float64, torch.float32):
            parts = world(activation, torch.float64)
            for _ in range(30):
                weight_step(*parts[:4])
            network, alphas, _, train, valid = world(activation, dtype)
            network.load_state_dict(parts[0].state_dict())
            buffers = {
                n: parts[2].state[p]["momentum_buffer"].to(dtype) for n, p in parts[0].named_parameters()
            }  # fmt: skip
            step = WeightStep(lr=0.025, momentum=0.9, weight_decay=3e-4, buffers=buffers)
            for product in ("exact", "finite"):
                h = second_order(train, valid, dict(network.named_parameters()), alphas, step=step, product=product)
                found[dtype, product] = flat(h.implicit).double(), flat(h.total()).double()
        want, total = found[torch.float64, "exact"]
        figures = [
            error(found[key][0], want)
            for key in ((torch.float64, "finite"), (torch.float32, "finite"), (torch.float32, "exact"))
        ]
        share = float(want.norm() / total.norm())
        print(f"| {activation} | {' | '.join(f'{x:.0e}' for x in figures)} | {share:.1%} |")


def cost(rounds: int) -> None:
    print(f"\n### Alpha step and weight step together, CPU time, median of {rounds} interleaved rounds of 8 steps\n")
    print("| alpha step | ms | against first order | range |")
    print("| --- | --- | --- | --- |")
    parts = world("relu", torch.float32)
    took: dict[str, list[float]] = {"first": [], "finite": [], "exact": []}
    for kind in took:
        gradient(kind, *parts)
        weight_step(*parts[:4])
    for _ in range(rounds):
        for kind, times in took.items():
            began = time.process_time()
            for _ in range(8):
                gradient(kind, *parts)
                weight_step(*parts[:4])
            times.append((time.process_time() - began) / 8 * 1e3)
    for kind, name in (("first", "first order"), ("finite", "second, finite differences"), ("exact", "second, exact")):
        ratios = [a / b for a, b in zip(took[kind], took["first"], strict=True)]
        print(
            f"| {name} | {statistics.median(took[kind]):.1f} | x{statistics.median(ratios):.2f} | "
            f"{min(ratios):.2f} to {max(ratios):.2f} |"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--instances", type=int, default=20, help="random instances of the closed-form problem")
    parser.add_argument("--rounds", type=int, default=9, help="rounds of the timing")
    options = parser.parse_args()
    torch.set_num_threads(1)
    closed_form(options.instances)
    on_a_network()
    cost(options.rounds)


if __name__ == "__main__":
    main()
