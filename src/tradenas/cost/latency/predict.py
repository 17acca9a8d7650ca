"""What a latency table says of an architecture, and of a mixture in the mean: a cost like others, in microseconds."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from torch import Tensor

from tradenas.cost.cell_fit import CellFit
from tradenas.cost.latency.chain_mean import ChainMean
from tradenas.cost.latency.measuring import FLOOR, conditions_of, time_nets
from tradenas.cost.latency.runtimes import RUNTIMES, Runtime
from tradenas.cost.latency.table import Conditions, Table
from tradenas.cost.latency.timing import Clock, Effort
from tradenas.errors import ConfigError
from tradenas.nn import Mixture, Network
from tradenas.space import Architecture, Picked

__all__ = ["Latency", "refuse_foreign", "runtime_of"]


class Latency:
    """Predicted microseconds of a call: exact for an architecture, differentiable in the mean over a mixture.

    `exact` cuts the program of the architecture into its parts and adds them up.  `expected` does not list
    architectures: of a chain it takes each layer's mean at the mean number of rows behind it, given the depth
    (`ChainMean`); of cells it is a sum of tables fitted to `exact` (`CellFit`).  Branches of a cell run one after the
    other, so their times add up; where a device ran them beside each other, `tradenas.cost.LongestPath` would hold.

    Args:
        network: over the space; its weights do not matter.
        table: made for this space, or for one that contains it, on this machine with these versions.
        runtime: another than the table's backend, in tests.

    Raises:
        ConfigError: a table of another machine, space, backend or version.
    """

    def __init__(self, network: Network, table: Table, *, runtime: Runtime | None = None) -> None:
        self.network, self.table = network, table
        self.runtime = runtime or runtime_of(table.conditions)
        refuse_foreign(table.conditions, conditions_of(network.space, network.layout, self.runtime))
        self._known: dict[Architecture, float] = {}
        self._mean: ChainMean | CellFit | None = None

    @classmethod
    def load(cls, network: Network, path: str | Path) -> Latency:
        """With the table in a file; errors as of the class and of `Table.load_file`."""
        return cls(network, Table.load_file(path))

    def exact(self, architecture: Mapping[str, Picked]) -> float:
        """Median microseconds of one architecture."""
        a = architecture if isinstance(architecture, Architecture) else Architecture(architecture)
        if a not in self._known:
            self._known[a] = self.table.microseconds(self.runtime.parts(self.network.standalone(a, seed=0)))
        return self._known[a]

    def p99(self, architecture: Mapping[str, Picked]) -> float:
        """The 99th percentile, as so many medians as it was of the networks that the table was fitted on."""
        return self.exact(architecture) * self.table.p99

    def expected(self, mixture: Mixture) -> Tensor:
        """Mean microseconds over what a mixture draws: a float64 scalar, differentiable by the mixture's weights."""
        if self._mean is None:
            if self.network.stack is None:
                self._mean = ChainMean(self.network, self.table, self.runtime)
            else:
                self._mean = CellFit(self.network.space, self.exact)
        return self._mean.expected(mixture)

    def rescale(
        self,
        *,
        nets: int = 3,
        effort: Effort | None = None,
        accept: bool = False,
        clock: Clock = time.perf_counter_ns,
    ) -> float:
        """Measures the probe and a few of the table's networks in this process, and scales all times by what it finds.

        The factor is the median over those networks of what they take now in what they took; of none, the probe's.

        Args:
            nets: of the table's own networks, of all sizes.
            effort: how long to measure.
            accept: scale although two halves of the measurement differ by more than is allowed.
            clock: in tests.

        Returns:
            How many times slower the machine is than when the table was made.

        Raises:
            ConfigError: the machine is not steady enough.
        """
        own = sorted(self.table.nets, key=lambda net: net.measured_us)
        step = (len(own) - 1) / max(1, nets - 1)
        chosen = [own[round(k * step)] for k in range(min(nets, len(own)))]
        architectures = [Architecture.from_plain(net.architecture) for net in chosen]
        now, probe_us, floor = time_nets(self.runtime, self.network, architectures, effort, clock)
        if floor > FLOOR and not accept:
            raise ConfigError(
                "rescaling", got=f"two halves of the measurement that differ by {floor:.1%}",
                expected=f"at most {FLOOR:.0%}", fix="measure on a quiet machine",
            )  # fmt: skip
        ratios = sorted(t / net.measured_us for t, net in zip(now, chosen, strict=True))
        half = len(ratios) // 2
        factor = probe_us / self.table.probe_us
        if ratios:
            factor = ratios[half] if len(ratios) % 2 else 0.5 * (ratios[half - 1] + ratios[half])
        self.table = self.table.scaled(factor)
        self._known, self._mean = {}, None
        return factor


def runtime_of(conditions: Conditions) -> Runtime:
    """What a table was measured with."""
    return RUNTIMES[conditions.backend](
        threads=conditions.threads, batch=conditions.batch, precision=conditions.precision,
        stream=conditions.mode == "stream",
    )  # fmt: skip


def refuse_foreign(table: Conditions, here: Conditions) -> None:
    """Refuses a table that was made under other conditions, and says which.

    Raises:
        ConfigError: another processor, backend, version, threads, batch, precision, mode, layout, or a space that has
            choices or options which the table's has not.
    """
    was, now = asdict(table), asdict(here)
    for name in ("backend", "cpu", "threads", "batch", "precision", "mode", "layout", "versions"):
        if was[name] != now[name]:
            _refuse(name, now[name], was[name])
    for name, options in here.space.items():
        known = table.space.get(name)
        if known is None or not set(options) <= set(known):
            _refuse(f"space, {name}", options, known or "no such choice")


def _refuse(what: str, here: object, table: object) -> None:
    raise ConfigError(
        f"latency table: {what}", got=f"one made for {table}", expected=f"{here}, as it is here",
        fix="make it again: tradenas measure STUDY.toml",
    )  # fmt: skip
