"""The `[budget]` of a study: what networks may cost, what costs are worth, and whether anything fits, before training.

A budget is that of the network that leaves: where `trials.cells` or `trials.width` enlarge what the search had, an
architecture of the search costs what it costs at full size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, cast

from tradenas.atomic import sha256_file, write_json
from tradenas.cost import COSTS, Budget, Exponent, PriceList, Satisfiability, prices, satisfiability
from tradenas.cost.count import bits_of
from tradenas.cost.devices import Device, device
from tradenas.errors import ConfigError, FolderError
from tradenas.events import Events
from tradenas.nn import Layout, Network
from tradenas.search.parts.nsga2 import check_objectives
from tradenas.search.parts.reward import scale_of
from tradenas.train.store import load_dataset

if TYPE_CHECKING:
    from tradenas.cost.latency import Latency
    from tradenas.study.config import StudyConfig
    from tradenas.study.folder import RunFolder

__all__ = ["BudgetConfig", "budgeted", "check_budget", "objectives_of", "price_list"]

#: Architectures whose latency is predicted before anything is trained, a few milliseconds each.
FEW = 300


@dataclass(frozen=True, kw_only=True)
class BudgetConfig(Budget):
    """What networks may cost; nothing is limited unless a limit is named.

    A limit is hard: no architecture beyond it is scored, retrained or traded.  Before anything is trained the study
    says what smallest, median and largest cost are, and which share fits; where nothing does, it names the cheapest.
    What a limit refuses was never scored, so it is no trial.

    Attributes:
        device: whose limits are those that are not named here: one that ships, or the path of a TOML file of one's own.
            Its latency is a 99th percentile: the limit on the median is lower by the factor that the table has for it.
        table: a latency table of this space on this machine, as `tradenas measure` makes it; `latency_us` is what it
            predicts: the median of a call.  Finalists are timed after the training.
        precision: of weights, activations and what is remembered, for the costs in bytes: `float32`, `float16`,
            `bfloat16`, `int8`, or a number of bits; empty takes that of the device, or `float32`.
        mode: whether `macs` and `peak_bytes` are those of one more candle where all that can be remembered is, or of a
            whole window; empty takes that of the table, of the device, or `stream`.
        rule: `reject` scores nothing beyond a limit; `dominance` scores such architectures too, as trials, and breeds
            from those nearest to the limits where nothing fits better (Deb's rule), but none becomes a candidate.
        train: which paths the steps of `spos`, `sandwich` and `progressive` draw: those that are `fitting`, which are
            then, under a tight limit, ranked more nearly as trainings alone rank them, or `all`.  Methods that train
            many paths together, or for many devices, train all; so does every method under `dominance`.
        exponents: costs that take part in the objective, as in MnasNet: quality x (cost / target)^w.
        scale: difference of quality that is worth a factor of e there; 0 takes a large one of the metric: 0.02 of an
            IC, a rank IC or an accuracy, 1 of a Sharpe ratio, 0.1 of a profit factor, 0.01 of a loss.
        objectives: of the front in the report: `merit`, metrics, and costs; empty takes the merit and what is limited
            or weighed.
    """

    device: str = ""
    table: str = ""
    precision: str | int = ""
    mode: Literal["", "stream", "window"] = ""
    rule: Literal["reject", "dominance"] = "reject"
    train: Literal["fitting", "all"] = "fitting"
    exponents: tuple[Exponent, ...] = ()
    scale: float = 0.0
    objectives: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.precision:
            try:
                bits_of(self.precision)
            except ValueError as error:
                raise ConfigError("budget.precision", got=repr(self.precision), expected=str(error)) from None
        if not 0.0 <= self.scale < float("inf"):
            raise ConfigError("budget.scale", got=self.scale, expected="0 (that of the metric) or a number above")
        if len({e.cost for e in self.exponents}) < len(self.exponents):
            raise ConfigError("budget.exponents", got="a cost twice", expected="each once")
        if self.objectives:
            check_objectives(self.objectives, place="budget.objectives")
        if self.device and not self.device.endswith(".toml"):
            device(self.device)

    def on(self, base: Path) -> Device | None:
        """The device; a file is looked for where the study lies."""
        if not self.device:
            return None
        return device(base / self.device if self.device.endswith(".toml") else self.device)


def limits_of(
    config: StudyConfig, found: Device | None, priced: Mapping[str, object]
) -> tuple[Budget, dict[str, float]]:
    """The limits that hold, and those of the device that nothing here prices, which nothing holds.

    Circuits as they leave here have no multiplier blocks and no blocks of memory: a limit of none is met.
    """
    latency = cast("Latency | None", priced.get("latency_us"))
    named = config.budget.limits()
    own = {} if found is None else found.limits.set()
    if latency is not None and "latency_us" in own:
        own["latency_us"] /= latency.table.p99
    known = {name: limit for name, limit in own.items() if name in priced}
    unpriced = {name: limit for name, limit in own.items() if limit and name not in known and name not in named}
    budget = Budget(**{**known, **named}).tightened(parameters=getattr(config.search, "max_params", 0))
    return budget, unpriced


def table_of(config: StudyConfig, network: Network, *, base: Path) -> Latency | None:
    """What predicts latency, where the study names a table.

    Raises:
        ConfigError: a table of another machine, space or mode.
        FolderError: no such file, or no latency table.
    """
    if not config.budget.table:
        return None
    from tradenas.cost.latency import Latency

    found = Latency.load(network, base / config.budget.table)
    mode = found.table.conditions.mode
    if config.budget.mode not in ("", mode):
        raise ConfigError(
            "budget.mode", got=config.budget.mode, expected=f"{mode}, as the table was measured",
            fix="leave it out, or measure a table of the other mode",
        )  # fmt: skip
    return found


def price_list(config: StudyConfig, layout: Layout, indicators: Mapping[str, str], *, base: Path) -> PriceList:
    """What the networks of a study cost and may cost.

    Args:
        layout: of the features.
        indicators: every feature and its group, of which the space is made.
        base: where relative paths of the study start.
    """
    found, settings = config.budget.on(base), config.budget
    network = Network(config.full_space.space(indicators), layout)
    latency = table_of(config, network, base=base)
    enlarged = {"cells": config.trials.cells, "cell/width": config.trials.width}
    fixed = {name: 0 for name, size in enlarged.items() if size}
    mode = mode_of(settings, found, latency)
    costs = prices(network, precision=precision_of(settings, found), mode=mode, latency=latency)
    return PriceList(
        costs=costs,
        budget=limits_of(config, found, costs)[0],
        exponents=settings.exponents,
        rule=settings.rule,
        train=settings.train,
        scale=settings.scale,
        resized=config.full_size if fixed else None,
        fixed=fixed,
    )


def precision_of(settings: BudgetConfig, found: Device | None) -> str | int:
    """That of the study, of the device, or float32."""
    return settings.precision or (found.precision if found else "float32")


def mode_of(settings: BudgetConfig, found: Device | None, latency: Latency | None) -> Literal["stream", "window"]:
    """That of the study, of the table, of the device, or stream."""
    if latency is not None:
        return "stream" if latency.table.conditions.mode == "stream" else "window"
    return settings.mode or (found.mode if found else "stream")


def objectives_of(config: StudyConfig, listed: PriceList) -> tuple[str, ...]:
    """What the front of a study is of; fewer than two where there is none."""
    weighed = {*listed.limits, *(e.cost for e in listed.exponents), *config.search.weighs()}
    if "parameters" in weighed and "bit_operations" not in listed.costs:
        weighed.discard("weight_bytes")  # the same front, in another unit
    return config.budget.objectives or ("merit", *(name for name in COSTS if name in weighed))


def budgeted(config: StudyConfig) -> bool:
    """Whether anything is limited, weighed or to be compared with quality."""
    return config.budget != BudgetConfig() or bool(getattr(config.search, "max_params", 0) or config.search.weighs())


def check_budget(folder: RunFolder, config: StudyConfig, events: Events, *, base: Path) -> None:
    """Writes `search/budget.json` and refuses what cannot be had; nothing where nothing is limited, or all is done.

    Raises:
        BudgetError: no architecture meets the limits; it names the cheapest.
        ConfigError: a cost that is not known.
        FolderError: the limits are not those that the run began with: the file of the device was changed.
    """
    if not budgeted(config) or folder.verdict.exists():
        return
    data = load_dataset(folder.open_rows)
    listed = price_list(config, data.layout, data.indicators, base=base)
    objectives = objectives_of(config, listed)
    listed.require([n for n in objectives if n in COSTS], place="budget.objectives")
    found = config.budget.on(base)
    cost = listed.costs.get("latency_us")
    latency = cast("Latency", cost) if cost is not None else None
    _, unpriced = limits_of(config, found, listed.costs)
    told: dict[str, Any] = {
        "device": None if found is None else {"name": found.name, "words": found.words, "kind": found.kind},
        "precision": precision_of(config.budget, found),
        "mode": mode_of(config.budget, found, latency),
        "table": None if latency is None else _table(latency, base / config.budget.table),
        "rule": listed.rule,
        "limits": listed.limits,
        "not_held": unpriced,
        "exponents": [{**asdict(e), "target": listed.target(e)} for e in listed.exponents],
        "scale": scale_of(config.rank_by, listed.scale) if listed.exponents else None,
        "objectives": list(objectives),
        "full_size": listed.resized is not None,
    }
    if folder.budget.exists():
        before = folder.read(folder.budget)
        if changed := [name for name in told if before.get(name) != told[name]]:
            raise FolderError(
                str(folder.path), got=f"a budget whose {', '.join(changed)} changed since the run began",
                expected="what it began with", fix="give the study another name, or undo the change of the file",
            )  # fmt: skip
    space = config.space.space(data.indicators)
    few = {} if latency is None else {"limit": FEW, "draws": FEW}
    seen = satisfiability(space, listed, seed=config.seed, **few)
    write_json(folder.budget, {**told, **_told(seen)})
    for name, limit in unpriced.items():
        if found is not None:
            timed = name == "latency_us" and found.kind != "fpga"
            why = "name a latency table" if timed else "the search has no price for it"
            events.warn("budget", f"{found.name} allows {limit:g} {name}, which nothing holds: {why}")
    if latency is not None and latency.table.accepted:
        words = f"two halves of {config.budget.table} differ by {latency.table.floor:.1%}: it was accepted all the same"
        events.warn("budget", words)
    events.say("budget", seen.lines())
    seen.require()


def _table(latency: Latency, path: Path) -> dict[str, Any]:
    """Which table, and what it is worth."""
    table = latency.table
    return {
        "sha256": sha256_file(path), "device": table.device, "backend": table.conditions.backend,
        "cpu": table.conditions.cpu, "threads": table.conditions.threads, "made": table.made, "floor": table.floor,
        "error": table.error, "p99": table.p99, "nets": len(table.nets), "accepted": table.accepted,
    }  # fmt: skip


def _told(seen: Satisfiability) -> dict[str, Any]:
    return {
        "size": seen.size,
        "looked_at": seen.looked_at,
        "share": seen.share,
        "low": seen.low,
        "high": seen.high,
        "costs": {
            name: {
                "limit": seen.budget.limits().get(name),
                "smallest": spread.smallest,
                "median": spread.median,
                "largest": spread.largest,
                "fits": spread.fits,
                "proved": spread.proved,
                "cheapest": {"digest": spread.cheapest.digest, "words": spread.cheapest.describe()},
            }
            for name, spread in seen.spreads.items()
        },
    }
