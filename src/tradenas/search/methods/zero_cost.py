"""Zero-cost search: rank untrained networks, train the best few (Abdelfattah et al., ICLR 2021, arXiv:2101.08134).

    screen   a ~ U(A), each scored untrained on one batch of training rows
    several  mean rank over proxies (there: a majority vote)
    train    the best of them, from scratch (there: "zero-cost warmup" of random search)

Proxies: synflow (Tanaka et al. 2020), naswot and jacob_cov (Mellor et al. 2021), grad_norm, params, macs; see
`tradenas.search.parts.proxies`.

Departures: the screened are drawn once, not bred; several proxies are put together by mean rank and not by votes on
pairs, which is the same order where they agree and has no cycles where they do not.

A proxy sees training rows only, so what is screened is no trial; what is trained is one, as ever.  Bias: `params` and
`synflow` like large networks, whatever the market.  None of them orders networks for noisy series as a supernet does;
the default two are those that did not order them backwards on the three markets of the truth table (docs/results.md).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from tradenas.errors import ConfigError
from tradenas.search.base import METHODS, Task
from tradenas.search.parts.affordable import affordable
from tradenas.search.parts.evolution import sample_distinct
from tradenas.search.parts.proxies import PROXIES, best_first
from tradenas.search.parts.standalone import Standalone
from tradenas.space import Architecture

__all__ = ["ZeroCost"]


@METHODS.register("zero_cost")
@dataclass(frozen=True, kw_only=True)
class ZeroCost(Standalone):
    """Draws architectures uniformly, ranks them untrained, and trains the best of them from scratch.

    Attributes:
        num_screened: architectures to rank untrained.
        proxies: what ranks them; several are put together by mean rank.
    """

    citation: ClassVar[str] = (
        "@inproceedings{abdelfattah2021zero, title={Zero-Cost Proxies for Lightweight {NAS}},\n"
        "  author={Abdelfattah, Mohamed S. and Mehrotra, Abhinav and Dudziak, {\\L}ukasz and Lane, Nicholas D.},\n"
        "  booktitle={ICLR}, year={2021}}"
    )

    kind: Literal["zero_cost"] = "zero_cost"
    num_screened: int = 500
    proxies: tuple[str, ...] = ("naswot", "grad_norm")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.num_screened < self.num_trained:
            raise ConfigError(
                "search.num_screened",
                got=self.num_screened,
                expected=f"search.num_trained = {self.num_trained} or more",
            )
        if not self.proxies:
            raise ConfigError("search.proxies", got="none", expected=f"one or more of {', '.join(PROXIES)}")
        for name in self.proxies:
            PROXIES[name]

    def wanted(self, task: Task) -> list[Architecture]:
        space = affordable(task.space, task.prices)
        drawn = sample_distinct(space, self.num_screened, seed=task.seed, stream="random_search")
        return best_first(task, drawn, self.proxies)[: self.num_trained]
