"""What every search method is: frozen hyperparameters and three functions of a state; and the one loop that runs it."""

from __future__ import annotations

import abc
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import torch
from torch import Tensor

from tradenas.atomic import write_json
from tradenas.cost import PriceList
from tradenas.errors import DivergedError
from tradenas.events import Events
from tradenas.nn import Mixture, Network
from tradenas.nn.slot import Mix, weighted_sum
from tradenas.registry import Registry
from tradenas.search.checkpoint import load, save
from tradenas.space import Architecture, SearchSpace
from tradenas.splits import Span
from tradenas.train.evaluate import METRICS, Evaluator, Scores, merit
from tradenas.train.fit import Fitted
from tradenas.train.panel import Market

__all__ = ["METHODS", "Candidate", "Method", "Scorer", "State", "Task", "run_search"]

METHODS: Registry[type[Method[Any]]] = Registry("method")


@dataclass(frozen=True)
class Candidate:
    """An architecture and what it scored, not yet retrained, let alone judged.

    Attributes:
        architecture: which.
        scores: on the ranking rows; where several supernets scored it, the mean of theirs.
        each: the scores of every one of several supernets, in their order; empty where there was one.
        front: 0 where no candidate is better in every objective, 1 where only those are, and so on; None where there
            was one objective.
        instead_of: what a method chose and what the budget forbids, of which this is the nearest that fits.
    """

    architecture: Architecture
    scores: Scores
    each: tuple[Scores, ...] = ()
    front: int | None = None
    instead_of: Architecture | None = None


class OnTrial(Protocol):
    """Told of every trial: its architecture, its scores, and why there are none if it failed.

    `look` tells apart the trials of one architecture that was scored more than once, with other weights each time.
    """

    def __call__(self, architecture: Architecture, scores: Scores, error: str | None, look: str = "") -> None: ...


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """The only way in which a method sees how good something is: it scores, and the ledger counts.

    Attributes:
        evaluator: scores on the validation rows of the search zone.
        metric: what candidates are ranked by.
        on_trial: told of every trial, so that no method can look at a score without its being counted.
    """

    evaluator: Evaluator
    metric: str
    on_trial: OnTrial

    def paths(
        self, networks: Sequence[Network], architectures: Sequence[Architecture], *, look: str = ""
    ) -> list[Candidate]:
        """Architectures as paths through shared weights, those of one supernet or of several.

        An architecture is one trial however many supernets score it: what is chosen by is one number.  Scored again
        after more training it is another trial; `look` then says which.
        """
        by_network = [self.evaluator.score_paths(network, architectures) for network in networks]
        return [
            self._counted(a, _mean(each), each=each if len(each) > 1 else (), look=look)
            for a, each in zip(architectures, zip(*by_network, strict=True), strict=True)
        ]

    def fitted(self, fitted: Fitted, architecture: Architecture) -> Candidate:
        """A standalone network."""
        return self._counted(architecture, self.evaluator.score_fitted(fitted, architecture))

    def mixture(self, network: Network, mixture: Mixture, architecture: Architecture, *, look: str) -> Scores:
        """Several architectures at once, which none of them scores: a look all the same, where it decides something.

        Args:
            architecture: what the mixture stands for; the trial is told under it, its scores as `mixture_<metric>`.
            look: which of the looks at it.
        """
        scores = self.evaluator.score_mixture(network, mixture)
        self._counted(architecture, {f"mixture_{name}": value for name, value in scores.items()}, look=look)
        return scores

    def failed(self, architecture: Architecture, error: Exception) -> Candidate:
        """A trial that gave no score is a trial still; why goes to the ledger."""
        return self._counted(architecture, {}, f"{type(error).__name__}: {error}")

    def _counted(
        self,
        architecture: Architecture,
        scores: Scores,
        error: str | None = None,
        *,
        each: tuple[Scores, ...] = (),
        look: str = "",
    ) -> Candidate:
        self.on_trial(architecture, scores, error, look)
        return Candidate(architecture, scores, each)

    def best_first(self, candidates: Sequence[Candidate]) -> list[Candidate]:
        """By merit, ties by digest."""
        return sorted(candidates, key=lambda c: (-merit(c.scores, self.metric), c.architecture.digest))


def _mean(each: Sequence[Scores]) -> Scores:
    """The mean of several supernets' scores; a score that one of them lacks is absent."""
    if len(each) == 1:
        return each[0]
    return {name: sum(s[name] for s in each) / len(each) for name in each[0] if all(name in s for s in each)}


@dataclass(frozen=True, kw_only=True)
class Task:
    """All that a method may look at.  Selection zone and vault are not in it.

    Attributes:
        space: what may be chosen.
        data: the market, or the panel, up to the end of the search zone.
        train: rows whose labels may be learnt.
        scorer: scores and counts.
        seed: of the search.
        device: where networks live.
        prices: what architectures cost and may cost; None where nobody asked, and nothing is limited.
    """

    space: SearchSpace
    data: Market
    train: Span
    scorer: Scorer
    seed: int = 0
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    prices: PriceList | None = None

    def price_list(self) -> PriceList:
        """What architectures cost, whether anything is limited or not."""
        return self.prices if self.prices is not None else PriceList.of_network(self.network())

    def network(self, *, seed: int | None = None, mix: Mix = weighted_sum) -> Network:
        """The supernet with fresh weights, of the task's seed or another."""
        return Network(self.space, self.data.layout, seed=self.seed if seed is None else seed, mix=mix).to(self.device)


class State(abc.ABC):
    """What changes while a method runs; all of it must go through `tensors` and `meta`."""

    @abc.abstractmethod
    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimiser moments."""

    @abc.abstractmethod
    def meta(self) -> dict[str, Any]:
        """The rest, as JSON."""

    @abc.abstractmethod
    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        """The inverse of both, bit for bit."""


S = TypeVar("S", bound=State)


class Method(abc.ABC, Generic[S]):
    """A search method: a frozen dataclass of hyperparameters, which is its own section of a study file."""

    #: BibTeX of what it implements; `tradenas cite` prints it.
    citation: ClassVar[str]

    def citations(self) -> list[str]:
        """BibTeX of all that these settings make of it."""
        return [self.citation]

    @abc.abstractmethod
    def num_epochs(self) -> int:
        """How many calls of `epoch` make a search."""

    @abc.abstractmethod
    def init(self, task: Task) -> S:
        """The state before the first epoch."""

    def warnings(self, task: Task, state: S) -> list[str]:  # noqa: ARG002
        """What a person should know before the first epoch, and that stops nothing."""
        return []

    def weighs(self) -> tuple[str, ...]:
        """Costs that it asks of a task besides those that are limited, by their names in `tradenas.cost.COSTS`."""
        return ()

    @abc.abstractmethod
    def epoch(self, task: Task, state: S, epoch: int) -> dict[str, float]:
        """One step of the search; changes the state, returns what to log."""

    @abc.abstractmethod
    def finish(self, task: Task, state: S) -> list[Candidate]:
        """The candidates, best first."""

    def records(self, task: Task, state: S) -> dict[str, Any]:  # noqa: ARG002
        """What else is to be kept of a search, as JSON by the name of its file."""
        return {}


def run_search(
    method: Method[S],
    task: Task,
    folder: Path,
    *,
    events: Events | None = None,
    owner: str = "",
    save_every_s: float = 30.0,
    before_save: Callable[[], None] | None = None,
) -> list[Candidate]:
    """Runs a method in a folder: resumes, calls its epochs, saves, logs.  The only epoch loop there is.

    A run killed at any instruction and started again gives the same bits as one that was left alone: every random
    choice is drawn from (seed, its path), and the state is saved whole.  Saving goes by time, which changes nothing
    but how much work is lost.

    What a method wants kept besides its candidates (`Method.records`) is written beside the state.

    Args:
        before_save: makes what `on_trial` was told durable: a saved state does not tell it again.

    Raises:
        FolderError: the folder holds another run's state, or no intact generation.
        DivergedError: no candidate has a finite score.
    """
    events = events or Events()
    state, first = method.init(task), 0
    for words in method.warnings(task, state):
        events.warn("search", words)
    if (saved := load(folder, owner=owner)) is not None:
        tensors, meta = saved
        state.restore(tensors, meta["state"])
        first = int(meta["epoch"]) + 1
        events.write("resume", stage="search", epoch=first)
    num, last_save = method.num_epochs(), time.monotonic()
    with events.span("search", num):
        events.progress.advance("search", first)
        for epoch in range(first, num):
            began = time.perf_counter()
            log = method.epoch(task, state, epoch)
            seconds = round(time.perf_counter() - began, 3)
            events.write("epoch", stage="search", epoch=epoch, seconds=seconds, **log)
            note = " ".join(f"{name} {value:.4g}" for name, value in log.items())
            events.progress.advance("search", epoch + 1, note)
            if epoch == num - 1 or time.monotonic() - last_save >= save_every_s:
                if before_save is not None:
                    before_save()
                save(folder, state.tensors(), {"epoch": epoch, "state": state.meta()}, owner=owner)
                last_save = time.monotonic()
        candidates = method.finish(task, state)
        for name, record in method.records(task, state).items():
            write_json(folder / f"{name}.json", record)
    if not any(merit(c.scores, task.scorer.metric) > float("-inf") for c in candidates):
        raise DivergedError(
            "search",
            got=f"no candidate with a finite {task.scorer.metric}",
            expected=f"at least one; metrics are {', '.join(METRICS)}",
            fix="lower training.lr, or look at the features with `tradenas check`",
        )
    return candidates
