"""Makes a latency table: parts, whole networks and the probe, all in the same rounds.

Accelerating by tables: Cai et al. 2019 (ProxylessNAS, arXiv:1812.00332), Wu et al. 2019 (FBNet, arXiv:1812.03443).
Where this one departs: parts as runtimes fuse them, what a call costs counted once, times in probes that were timed
beside them, three coefficients from a few whole networks, and a refusal where the machine was not steady.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np

from tradenas.cost.devices import Device
from tradenas.cost.latency.entries import Entries
from tradenas.cost.latency.enumerate import needed
from tradenas.cost.latency.fit import fit
from tradenas.cost.latency.machine import load
from tradenas.cost.latency.parts import Part
from tradenas.cost.latency.plan import Plan, make_plan
from tradenas.cost.latency.runtimes import RUNTIMES, Runtime
from tradenas.cost.latency.samples import EMPTY, Sample
from tradenas.cost.latency.table import Conditions, Net, Table
from tradenas.cost.latency.timing import Clock, Effort, percentiles, rounds
from tradenas.errors import ConfigError
from tradenas.nn import Layout, Network
from tradenas.seeds import rng_for
from tradenas.space import Architecture, SearchSpace

__all__ = ["FLOOR", "Measured", "conditions_of", "draw_nets", "make_runtime", "measure", "time_nets"]

#: Largest test-retest difference of a table that is believed.
FLOOR = 0.05
#: Networks that the coefficients are fitted on, and draws that they are chosen from.
NETS, DRAWS = 10, 60
#: Most single calls of each of them for the 99th percentile.
CALLS = 300


@dataclass(frozen=True, kw_only=True)
class Measured:
    """A table, and the networks beside it that it was checked on.

    Attributes:
        table: the table.
        checks: networks that were not fitted on.
        predicted_us: what the table says of them.
    """

    table: Table
    checks: tuple[Net, ...]
    predicted_us: tuple[float, ...]


def make_runtime(device: Device, backend: str = "") -> Runtime:
    """What runs networks on a device.

    Raises:
        ConfigError: a backend that the device has not, or that nobody measures.
    """
    backend = backend or device.backends[0]
    if backend not in device.backends:
        raise ConfigError(f"device {device.name}", got=backend, expected=f"one of {', '.join(device.backends)}")
    if backend not in RUNTIMES:
        raise ConfigError(
            f"device {device.name}", got=backend, expected=f"a backend that is measured: {', '.join(RUNTIMES)}",
            fix="cycles and cells of an FPGA are estimated and synthesised: tradenas export --format verilog",
        )  # fmt: skip
    return RUNTIMES[backend](
        threads=device.threads, batch=device.batch, precision=device.precision, stream=device.mode == "stream"
    )


def conditions_of(space: SearchSpace, layout: Layout, runtime: Runtime) -> Conditions:
    """What a table of a space would be made under, here and now."""
    return Conditions(
        backend=runtime.name, cpu=runtime.processor(), threads=runtime.threads, batch=runtime.batch,
        precision=runtime.precision, mode="stream" if runtime.stream else "window", versions=runtime.versions(),
        space={c.name: list(c.options) for c in space.choices},
        layout=[len(layout.groups), list(layout.transforms), layout.assets],
    )  # fmt: skip


def draw_nets(network: Network, number: int, *, seed: int, skip: Sequence[Architecture] = ()) -> list[Architecture]:
    """Architectures of every size: of many draws, evenly along the order of their multiply-accumulates a window."""
    rng, left = rng_for(seed, "latency", "nets"), set(skip)
    drawn: dict[Architecture, float] = {}
    for _ in range(20 * max(DRAWS, number)):
        if len(drawn) == max(DRAWS, number):
            break
        if (a := network.space.sample(rng)) not in left:
            drawn[a] = network.count(a).macs * network.reach(a)
    if len(drawn) < number:
        raise ConfigError("calibration", got=f"a space of {len(drawn)} architectures", expected=f"{number} or more")
    ordered = sorted(drawn, key=lambda a: (drawn[a], a.digest))
    places = np.linspace(0, len(ordered) - 1, number).round().astype(int)
    return [ordered[k] for k in dict.fromkeys(places.tolist())]


def time_nets(
    runtime: Runtime,
    network: Network,
    architectures: Sequence[Architecture],
    effort: Effort | None = None,
    clock: Clock = time.perf_counter_ns,
) -> tuple[list[float], float, float]:
    """Microseconds of whole networks, of the probe beside them, and how far two halves of the rounds disagree."""
    calls = runtime.nets([network.standalone(a, seed=0) for a in architectures])
    seen = rounds(calls, runtime.probe(), effort, clock=clock)
    return (seen.probes_N * seen.probe_us).tolist(), seen.probe_us, seen.retest(slice(None)) if calls else 0.0


def measure(
    network: Network,
    device: Device,
    backend: str = "",
    *,
    effort: Effort | None = None,
    most: int = 0,
    check: int = 0,
    accept: bool = False,
    seed: int = 0,
    draws: int = 200,
    runtime: Runtime | None = None,
    clock: Clock = time.perf_counter_ns,
    progress: Callable[[int, int], None] | None = None,
) -> Measured:
    """Times every part that architectures of a space can have, and fits them to whole networks.

    Args:
        network: over the space; its weights do not matter.
        device: what it runs on.
        backend: one of the device's; the first where it is not given.
        effort: how long to measure.
        most: samples up to which no part is left out (see `plan`); 0 for what suits the backend.
        check: networks to measure beside, which nothing is fitted on.
        accept: take a table whose halves disagree by more than `FLOOR`; it is marked.
        seed: of the networks that are drawn.
        draws: architectures whose parts are looked at beside those that have every part of a layer (`needed`).
        runtime: another than the device's, in tests.
        clock: in tests.
        progress: told (visits so far, visits in all).

    Raises:
        ConfigError: the machine was not steady enough, a backend that the device has not, or a space of too few
            architectures to fit three coefficients on.
    """
    began, before = time.perf_counter(), load()
    runtime, effort = runtime or make_runtime(device, backend), effort or Effort()
    calibration = draw_nets(network, NETS, seed=seed)
    drawn = [*calibration, *(draw_nets(network, check, seed=seed + 1, skip=calibration) if check else ())]
    nets = [network.standalone(a, seed=0) for a in drawn]
    wanted = needed(network, runtime, draws=draws, also=drawn, seed=seed)
    plan = make_plan(wanted, most=most or runtime.most, block=runtime.block, inputs=runtime.inputs)
    recipes = {(p, r): runtime.recipe(p, r) for p, rows in plan.rows.items() for r in rows}
    held_out = _held_out(plan, seed)
    recipes.update({(p, r): runtime.recipe(p, r) for p, r in held_out})
    samples = list(dict.fromkeys(s for recipe in recipes.values() for s in recipe))
    whole = runtime.nets(nets)
    seen = rounds([*whole, *runtime.samples(samples)], runtime.probe(), effort, clock=clock, progress=progress)
    floor = seen.retest(slice(0, len(whole)))
    if floor > FLOOR and not accept:
        halves = f"two halves of the measurement that differ by {floor:.1%} (load {load()})"
        raise ConfigError(
            f"latency on {device.name}", got=halves,
            expected=f"at most {FLOOR:.0%}", fix="measure on a quiet machine, or accept the table (it is marked)",
        )  # fmt: skip
    times = dict(zip(samples, seen.probes_N[len(whole) :].tolist(), strict=True))
    entries = _entries(plan.rows, recipes, times)
    parts = [runtime.parts(net) for net in nets]
    totals = [entries.total(each) for each in parts]
    probes = seen.probes_N[: len(whole)].tolist()
    n = len(calibration)
    fitted = fit(totals[:n], [len(each) for each in parts[:n]], probes[:n], call=times.get(EMPTY, 0.0))
    known = [
        Net(architecture=dict(a), measured_us=p * seen.probe_us, total=t, parts=len(each))
        for a, p, t, each in zip(drawn, probes, totals, parts, strict=True)
    ]
    tails = [
        p99 / p50
        for p50, p99 in (percentiles(call, min(CALLS, effort.rounds * effort.most), clock) for call in whole[:n])
    ]
    off = [abs(fitted(x.total, x.parts) / p - 1) for x, p in zip(known[:n], probes[:n], strict=True)]
    table = Table(
        device=device.name, conditions=conditions_of(network.space, network.layout, runtime), entries=entries,
        fit=fitted, probe_us=seen.probe_us, floor=floor, accepted=floor > FLOOR,
        error=float(np.mean(off)), p99=float(np.median(tails)), nets=tuple(known[:n]),
        between_us=_error_between(held_out, recipes, times, entries, seen.probe_us),
        load=(before, load()), seconds=time.perf_counter() - began, samples=len(samples) + len(whole),
        made=datetime.now(UTC).isoformat(timespec="seconds"),
    )  # fmt: skip
    return Measured(
        table=table,
        checks=tuple(known[n:]),
        predicted_us=tuple(fitted(x.total, x.parts) * table.us for x in known[n:]),
    )


def _entries(
    rows: Mapping[Part, tuple[int, ...]],
    recipes: Mapping[tuple[Part, int], Mapping[Sample, float]],
    times: Mapping[Sample, float],
) -> Entries:
    found: dict[tuple[str, int, int], dict[int, float]] = {}
    for part, at in rows.items():
        found[part.key] = {r: _value(recipes[part, r], times) for r in at}
    return Entries(found)


def _value(recipe: Mapping[Sample, float], times: Mapping[Sample, float]) -> float:
    return sum(factor * times[sample] for sample, factor in recipe.items())


def _held_out(plan: Plan, seed: int, number: int = 16) -> list[tuple[Part, int]]:
    """Some of the parts and rows that the table works out from others, to be measured nevertheless."""
    pairs = [(p, r) for p, rows in plan.left_out.items() for r in rows]
    pairs += [
        (p, (low + high) // 2)
        for p, rows in plan.rows.items()
        for low, high in pairwise(rows)
        if low > 1 and high - low > 3
    ]
    chosen = rng_for(seed, "latency", "between").permutation(len(pairs))[:number]
    return [pairs[k] for k in sorted(chosen.tolist())]


def _error_between(
    held_out: Sequence[tuple[Part, int]],
    recipes: Mapping[tuple[Part, int], Mapping[Sample, float]],
    times: Mapping[Sample, float],
    entries: Entries,
    unit_us: float,
) -> float | None:
    """Mean difference between what the table says of parts and what they took, in microseconds."""
    if not held_out:
        return None
    return unit_us * float(np.mean([abs(entries(*p.key, r) - _value(recipes[p, r], times)) for p, r in held_out]))
