"""Part of 8: the supernet beside rankers that cost nothing."""

from __future__ import annotations

from tradenas.report.markup import Markup, join
from tradenas.report.schema import Coupling, Interval, TauInterval
from tradenas.report.sections.parts import note, table
from tradenas.report.wording import interval

__all__ = ["rankers"]

NAMES = {
    "synflow": "synflow: flow through all paths (Tanaka et al. 2020)",
    "naswot": "NASWOT: how well inner signs tell rows apart (Mellor et al. 2021)",
    "jacob_cov": "jacob_cov: how little slopes have in common (Mellor et al. 2020)",
    "grad_norm": "grad norm: length of the first gradient (Abdelfattah et al. 2021)",
    "params": "number of parameters",
    "macs": "multiplications a candle",
}


def rankers(found: Coupling) -> Markup | None:
    """A row each for the supernet and the zero-cost proxies, best first; who beats the supernet is marked."""
    known = {name: tau for name, tau in found.proxies.items() if tau.tau is not None}
    if found.tau is None or not known:
        return None
    supernet = TauInterval(tau=found.tau, tau_low=found.tau_low, tau_high=found.tau_high)
    order = sorted(known, key=lambda name: (-_tau(known[name]), name))
    beats = [name for name in order if _tau(known[name]) > found.tau]
    rows: list[list[object]] = [[NAMES.get(name, name), _cell(known[name]), "beats the supernet"] for name in beats]
    rows.append(["the supernet", _cell(supernet), ""])
    rows += [[NAMES.get(name, name), _cell(known[name]), ""] for name in order if name not in beats]
    whole = table(
        "What ranks as standalone training does: the supernet, and numbers of untrained networks",
        ["ranker", "Kendall τ with standalone", ""],
        rows,
        text=(0, 2),
        classes=[None] * len(beats) + ["champion"],
    )
    words = (
        "A number that costs nothing ranked better here than the supernet; where intervals overlap, perhaps by luck. "
        "search.warm_start and the method zero_cost put such a number to use."
        if beats
        else "No number that costs nothing ranked better here than the supernet."
    )
    return join([whole, note(words)])


def _tau(found: TauInterval) -> float:
    return found.tau if found.tau is not None else float("-inf")


def _cell(found: TauInterval) -> str:
    return interval(Interval(value=found.tau, low=found.tau_low, high=found.tau_high))
