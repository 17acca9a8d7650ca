"""The parameters of an architecture while they learn: alphas, their optimiser, where they stood after each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor

from tradenas.errors import ConfigError
from tradenas.nn import Network
from tradenas.search.parts.bilevel import Hypergradient
from tradenas.search.parts.early_stop import Stop
from tradenas.search.parts.relaxation import Temperature, alphas_for
from tradenas.search.parts.supernet import SupernetState, moments_of, set_moments, under
from tradenas.space import Choice, SearchSpace

__all__ = ["AlphaState", "Alphas", "Learner"]


@dataclass(frozen=True, kw_only=True)
class Alphas:
    """How the alphas learn: one number for each option of each choice, none among the weights.

    Attributes:
        lr: learning rate of Adam.  The authors' 3e-4 belongs to 20,000 steps; Adam moves an alpha by at most lr times
            steps, and it takes a move of 2 or so to say anything.
        beta1: of Adam; beta2 is 0.999.
        weight_decay: of the alphas, as a penalty.
        scale: standard deviation of the alphas before the first step.
        warm_up: share of the epochs, the first ones, in which weights learn and alphas do not.
        share: share of the training rows, the latest ones after a purge, that alphas learn from and weights do not.
        temperature: alphas are divided by it, epoch by epoch.
    """

    lr: float = 3e-3
    beta1: float = 0.5
    weight_decay: float = 1e-3
    scale: float = 1e-3
    warm_up: float = 0.0
    share: float = 0.5
    temperature: Temperature = field(default_factory=Temperature)

    def __post_init__(self) -> None:
        if not self.lr > 0:
            raise ConfigError("search.alphas.lr", got=self.lr, expected="a number above 0")
        if not 0.0 <= self.beta1 < 1.0:
            raise ConfigError("search.alphas.beta1", got=self.beta1, expected="from 0 up to but not with 1")
        if not 0.0 < self.share < 1.0:
            raise ConfigError("search.alphas.share", got=self.share, expected="a share between 0 and 1")
        if not 0.0 <= self.warm_up < 1.0:
            raise ConfigError("search.alphas.warm_up", got=self.warm_up, expected="from 0 up to but not with 1")
        for name in ("weight_decay", "scale"):
            if getattr(self, name) < 0:
                raise ConfigError(f"search.alphas.{name}", got=getattr(self, name), expected="0 or more")


class Learner:
    """The alphas of one supernet.

    Attributes:
        alphas: by choice.
        trail: copies of them after each epoch.
        measured: epoch and dominant eigenvalue (`curvature`), where it was measured.
        logs: what each epoch had to say: losses, entropy, share of skips.
        stopped: why, when, and from which epoch the alphas are that it kept; None while it goes on.
        losses: validation losses of the current epoch's alpha steps.
        decided: by choice the indices of the options that it keeps, whatever its alphas say (`perturbation`).
    """

    def __init__(self, choices: Sequence[Choice], settings: Alphas, *, seed: int, device: torch.device) -> None:
        made = alphas_for(choices, seed=seed, scale=settings.scale)
        self.alphas = {name: alpha.to(device).requires_grad_() for name, alpha in made.items()}
        self.optimizer = torch.optim.Adam(
            [{"params": list(self.alphas.values())}],
            lr=settings.lr,
            betas=(settings.beta1, 0.999),
            weight_decay=settings.weight_decay,
            fused=True,
        )
        self.trail: list[dict[str, Tensor]] = []
        self.measured: list[tuple[int, float]] = []
        self.logs: list[dict[str, float]] = []
        self.stopped: Stop | None = None
        self.losses: list[float] = []
        self.decided: dict[str, list[int]] = {}

    def step(self, gradients: dict[str, Tensor]) -> bool:
        """One step of Adam; none, and False, where a gradient is not finite."""
        if not all(bool(torch.isfinite(g).all()) for g in gradients.values()):
            return False
        for name, alpha in self.alphas.items():
            alpha.grad = gradients[name]
        self.optimizer.step()
        return True

    def learn(self, found: Hypergradient, extra: Tensor | None = None) -> None:
        """A step along a gradient and that of `extra`, which hangs on the alphas alone; notes the loss."""
        gradients = found.total()
        if extra is not None:
            more = torch.autograd.grad(extra, list(self.alphas.values()), allow_unused=True)
            gradients = {n: g if m is None else g + m for (n, g), m in zip(gradients.items(), more, strict=True)}
        if self.step(gradients):
            self.losses.append(found.valid)

    def now(self) -> dict[str, Tensor]:
        """The alphas as they stand, without gradients."""
        return {name: alpha.detach() for name, alpha in self.alphas.items()}

    def remember(self) -> None:
        """Ends an epoch."""
        self.trail.append({name: alpha.clone() for name, alpha in self.now().items()})

    def stop(self, stop: Stop) -> None:
        """Ends the search with the alphas of an earlier epoch, or of this one."""
        self.stopped = stop
        with torch.no_grad():
            for name, alpha in self.alphas.items():
                alpha.copy_(self.trail[stop.keep][name])


class AlphaState(SupernetState):
    """Shared weights, and for each supernet the alphas that learn beside it.

    Attributes:
        learners: of each supernet.
        past: accounts of earlier stages of each supernet, where a method begins anew (P-DARTS).
    """

    def __init__(
        self,
        space: SearchSpace,
        networks: Sequence[Network],
        optimizers: Sequence[torch.optim.Optimizer],
        learners: Sequence[Learner],
    ) -> None:
        super().__init__(space, networks, optimizers)
        self.learners = list(learners)
        self.past: list[list[dict[str, Any]]] = [[] for _ in self.learners]

    def learner(self, network: Network) -> Learner:
        """That of one supernet; of a copy, the first."""
        own = [at for at, other in enumerate(self.networks) if other is network]
        return self.learners[own[0] if own else 0]

    def tensors(self) -> dict[str, Tensor]:
        found = super().tensors()
        for i, learner in enumerate(self.learners):
            found |= {f"alpha/{i}/{name}": alpha for name, alpha in learner.now().items()}
            found |= moments_of(learner.optimizer, f"alpha_optimizer/{i}/")
            if learner.trail:
                names = learner.trail[0]
                found |= {f"trail/{i}/{name}": torch.stack([then[name] for then in learner.trail]) for name in names}
        return found

    def meta(self) -> dict[str, Any]:
        return super().meta() | {
            "measured": [learner.measured for learner in self.learners],
            "logs": [learner.logs for learner in self.learners],
            "decided": [learner.decided for learner in self.learners],
            "past": self.past,
            "stopped": [None if s is None else asdict(s) for s in (learner.stopped for learner in self.learners)],
        }

    def restore(self, tensors: dict[str, Tensor], meta: dict[str, Any]) -> None:
        super().restore(tensors, meta)
        self.past = [list(accounts) for accounts in meta["past"]]
        for i, learner in enumerate(self.learners):
            saved, trail = under(tensors, f"alpha/{i}/"), under(tensors, f"trail/{i}/")
            with torch.no_grad():
                for name, alpha in learner.alphas.items():
                    alpha.copy_(saved[name])
            groups = learner.optimizer.state_dict()["param_groups"]  # which are settings
            set_moments(learner.optimizer, under(tensors, f"alpha_optimizer/{i}/"), groups)
            epochs = len(next(iter(trail.values()))) if trail else 0
            learner.trail = [{name: stacked[e].clone() for name, stacked in trail.items()} for e in range(epochs)]
            learner.measured = [(int(epoch), float(value)) for epoch, value in meta["measured"][i]]
            learner.logs = [dict(log) for log in meta["logs"][i]]
            learner.decided = {name: list(kept) for name, kept in meta["decided"][i].items()}
            stopped = meta["stopped"][i]
            learner.stopped = None if stopped is None else Stop(**stopped)
