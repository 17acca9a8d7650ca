"""The same on a GPU: a stack of networks, ranking, a supernet's step; nothing where there is none.

Written for whoever has a GPU; where this project was built none was at hand, so nothing here has been measured yet.
Wall time after `synchronize`, since CPU time says nothing of a GPU.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import torch
from turns import turns

from speed.figure import Figure
from speed.rank import SPACE
from speed.step import Step, network_of
from speed.world import LAYOUT
from tradenas.nn import Mode, Network, hard
from tradenas.seeds import rng_for
from tradenas.splits import Span
from tradenas.train.stack import Stack
from tradenas.train.stream import stream


def figures(full: bool) -> Iterator[Figure]:
    if not torch.cuda.is_available():
        yield Figure.of("the GPU path", [float("nan")], note="no CUDA device here: not run")
        return
    rounds = 15 if full else 5

    def clock() -> float:
        torch.cuda.synchronize()
        return time.perf_counter()

    space = network_of(32).space
    one = space.sample(rng_for(0, "cuda"))
    networks = [Network(space, LAYOUT, seed=n).standalone(one, seed=n).cuda() for n in range(50)]
    stack = Stack(networks)
    x_NBTF = torch.randn(50, 16, networks[0].reach() - 1 + 64, len(LAYOUT.groups), device="cuda")
    y_NBS = torch.randn(50, 16, 64, device="cuda")
    mode = Mode(scored=64)

    def each() -> None:
        for network, x_BTF, y_BS in zip(networks, x_NBTF, y_NBS, strict=True):
            network.zero_grad(set_to_none=True)
            (network(x_BTF, {}, mode) - y_BS).square().mean().backward()

    def together() -> None:
        stack.differentiate((stack.run(x_NBTF, mode) - y_NBS).square().mean((1, 2)))

    took = turns({"each": each, "stack": together}, rounds, clock=clock)
    yield Figure.of("GPU: gradients of 50 networks, one by one / as a stack", took.ratios("each", "stack"))

    network = Network(SPACE, LAYOUT).cuda()
    on_cpu = Network(SPACE, LAYOUT)
    x_TF = torch.randn(8256, len(LAYOUT.groups))
    on_gpu = x_TF.cuda()
    rng = rng_for(1, "subnets")
    paths = [hard(SPACE, SPACE.sample(rng)) for _ in range(12)]
    span = Span(64, 8256)
    took = turns(
        {
            "cpu": lambda: [stream(on_cpu, x_TF, p, span, reach=64) for p in paths],
            "gpu": lambda: [stream(network, on_gpu, p, span, reach=64) for p in paths],
        },
        rounds, clock=clock,
    )  # fmt: skip
    yield Figure.of("GPU: ranking, one core / the GPU", took.ratios("cpu", "gpu"))
    supernet = Step(network_of(64), length=128, segments=32, device="cuda")
    ours, alone = supernet.of(supernet.network.space.smallest()), supernet.products(supernet.network.space.smallest())
    took = turns({"step": ours, "products": alone}, rounds, clock=clock)
    yield Figure.of("GPU: supernet step / its products alone, width 64", took.ratios("step", "products"))
