"""Jobs that are done together: which of them, and how.

Networks of one shape learn faster as a stack than one by one (`tradenas.train.stacked`).  What a job is does not change
by it: specification, name, folder and row in the ledger are its own, and so is its failure.

Sums in a stack are rounded in another order than alone.  So that a study still gives the same bits whoever works on it
and however often it is killed, stacks hang on the jobs that were asked for and on nothing else: not on what is done
already, and not on the number of workers.  A stack of which something is missing is done again as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

from tradenas.atomic import canonical_json
from tradenas.registry import Registry
from tradenas.trials.jobs import JobSpec, perform, pinned

__all__ = ["TOGETHER", "Stack", "Together", "alone", "perform_all", "stacks_of"]

#: Stacks that are left for workers to share where there are so many jobs that stack.
LEAST = 4

#: Ids of jobs that are done together.
Stack = tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Together:
    """How jobs of one kind are done together.

    Attributes:
        alike: what a job's `params` must have in common with another's; None for a job that does better alone.
        amount: rows that it learns from: jobs of like amounts share a stack, as the shorter wait for the longest.
        work: does several jobs without writing anything; it is given a job's folder, to find inputs from.  Returns for
            each what `tell` needs, or the error that the job would have raised.
        tell: writes one job's files, and returns its result.
    """

    alike: Callable[[JobSpec], Any]
    amount: Callable[[JobSpec], int]
    work: Callable[[Sequence[JobSpec], Path], Sequence[Any]]
    tell: Callable[[JobSpec, Any, Path], dict[str, Any]]


TOGETHER: Registry[Together] = Registry("stack")


def alone(together: Together, spec: JobSpec, folder: Path) -> dict[str, Any]:
    """One such job by itself."""
    return _told(together, together.work([spec], folder)[0], spec, folder)


def _told(together: Together, outcome: Any, spec: JobSpec, folder: Path) -> dict[str, Any]:
    if isinstance(outcome, Exception):
        raise outcome
    return together.tell(spec, outcome, folder)


def stacks_of(specs: Iterable[JobSpec], most: int) -> list[Stack]:
    """Cuts jobs into stacks; one that goes with no other is a stack of its own.

    Args:
        specs: different jobs, all that were asked for, those done already included.
        most: jobs in a stack; 1 leaves each by itself.
    """
    groups: dict[str, list[JobSpec]] = {}
    for spec in specs:
        alike = TOGETHER[spec.kind].alike(spec) if most > 1 and spec.kind in TOGETHER else None
        common = {"kind": spec.kind, "threads": spec.threads, "inputs": dict(spec.inputs), "alike": alike}
        groups.setdefault(spec.id if alike is None else canonical_json(common), []).append(spec)
    stacking = sum(len(group) for group in groups.values() if len(group) > 1)
    most = max(1, min(most, -(-stacking // LEAST)))
    stacks: list[Stack] = []
    for group in groups.values():
        number = -(-len(group) // most)
        if number < len(group):
            group.sort(key=lambda spec: -TOGETHER[spec.kind].amount(spec))
        bounds = [-(-len(group) * n // number) for n in range(number + 1)]
        names = [spec.id for spec in group]
        stacks += [tuple(names[low:high]) for low, high in pairwise(bounds)]
    return stacks


def perform_all(specs: Sequence[JobSpec], folders: Sequence[Path | None]) -> list[str | None]:
    """Does the jobs of a stack; what cannot be done together is done one by one.

    Args:
        specs: of one stack.
        folders: an empty one for each job; None for one whose result is known, and is not written again.

    Returns:
        For each job what `perform` would: None, or what it raised.
    """
    outcomes = _work(specs, next(folder for folder in folders if folder is not None)) if len(specs) > 1 else None
    if outcomes is None:
        return [None if folder is None else perform(spec, folder) for spec, folder in zip(specs, folders, strict=True)]
    together = TOGETHER[specs[0].kind]
    return [
        None if folder is None else perform(spec, folder, partial(_told, together, outcome))
        for spec, folder, outcome in zip(specs, folders, outcomes, strict=True)
    ]


def _work(specs: Sequence[JobSpec], folder: Path) -> Sequence[Any] | None:
    """What came of jobs done together; None where they cannot be: whose fault that is shows when each is alone."""
    try:
        with pinned(specs[0].threads):
            return TOGETHER[specs[0].kind].work(specs, folder)
    except (Exception, SystemExit):  # noqa: BLE001 - as in `perform`
        return None
