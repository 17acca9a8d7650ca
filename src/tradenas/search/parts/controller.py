"""The controller of ENAS (Pham et al., ICML 2018, arXiv:1802.03268): an LSTM that draws architectures, and REINFORCE.

    draw        one step of the LSTM for each choice, fed with what was picked before      sec. 2.1-2.2
    logits      tanh_constant * tanh(z / temperature), so that no option is ever given up  general_controller.py
    reward      R = score + entropy_weight * entropy, which is reward and gets no gradient
    baseline    b <- b - (1 - decay) * (b - R), before it is used
    gradient    -(R - b) * grad log p, the mean over `samples` architectures               Williams 1992

Only choices that are active and free are asked, so log p is that of the architecture.  b is moved by every sample in
turn and holds a share of the R it is taken from: the expected gradient is smaller by the factor `decay` and points
where it should.  Only R - b is ever used: a score may be negative and in any unit.

Departures: every choice has its own output weights, as choices here differ in kind; b begins at the first mean R, not
at 0; Adam with beta1 = 0 as there, but its epsilon is 1e-8, not 1e-3, beside which gradients of an IC are nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from tradenas.errors import ConfigError, SpaceError
from tradenas.seeds import seed_for
from tradenas.space import Architecture, Choice, Picked, SearchSpace

__all__ = ["Controller", "Policy", "Reinforce"]

#: Most values that one choice may take: of a choice of several options together there may be very many.
MAX_VALUES = 4096
#: Logit of an option that may not be taken.
NEVER = -1e9


@dataclass(frozen=True, kw_only=True)
class Policy:
    """The controller and how it learns.

    Attributes:
        size: units of its LSTM.
        lr: learning rate of Adam.
        temperature: logits are divided by it.
        tanh_constant: no logit is larger than this, so every option keeps a chance.
        entropy_weight: what a nat of entropy adds to the score of an architecture.
        decay: of the moving average of rewards that is the baseline.
        steps: updates after each epoch of the shared weights; where architectures are trained alone (MnasNet), gradient
            steps on each batch of them.
        samples: architectures of an update, or of such a batch.
    """

    size: int = 64
    lr: float = 1e-3
    temperature: float = 1.0
    tanh_constant: float = 1.5
    entropy_weight: float = 1e-4
    decay: float = 0.99
    steps: int = 10
    samples: int = 10

    def __post_init__(self) -> None:
        for name in ("size", "steps", "samples"):
            if getattr(self, name) < 1:
                raise ConfigError(f"search.controller.{name}", got=getattr(self, name), expected="1 or more")
        for name in ("lr", "temperature", "tanh_constant"):
            if not getattr(self, name) > 0:
                raise ConfigError(f"search.controller.{name}", got=getattr(self, name), expected="a number above 0")
        if self.entropy_weight < 0:
            raise ConfigError("search.controller.entropy_weight", got=self.entropy_weight, expected="0 or more")
        if not 0.0 <= self.decay < 1.0:
            raise ConfigError("search.controller.decay", got=self.decay, expected="from 0 up to but not with 1")


class Controller(nn.Module):
    """Draws architectures of a space, one choice after the other, each seen by those after it.

    >>> from tradenas.seeds import rng_for
    >>> from tradenas.space import Chain
    >>> controller = Controller(Chain().space(), Policy(), seed=0)
    >>> some = controller.draw(3, rng_for(0, "a"))
    >>> log_p_N, entropy_N = controller(some)
    >>> len(some), log_p_N.shape, bool((log_p_N < 0).all())
    (3, torch.Size([3]), True)

    Raises:
        SpaceError: the space has no choices, or one with more than 4,096 values.
    """

    def __init__(self, space: SearchSpace, policy: Policy, *, seed: int) -> None:
        super().__init__()
        if not space.choices:
            raise SpaceError("SearchSpace", got="no choices", expected="at least one", fix="offer something to choose")
        self.space, self.policy = space, policy
        self.values: dict[str, list[Picked]] = {}
        self.first: dict[str, int] = {}
        total = 0
        for choice in space.choices:
            if math.comb(len(choice.options), choice.take) > MAX_VALUES:
                raise SpaceError(
                    choice.name,
                    got=f"{choice.take} of {len(choice.options)} options",
                    expected=f"at most {MAX_VALUES:,} ways",
                )
            self.values[choice.name], self.first[choice.name] = list(choice.values()), total
            total += len(self.values[choice.name])
        self.cell = nn.utils.skip_init(nn.LSTMCell, policy.size, policy.size, bias=False)  # type: ignore[no-untyped-call]
        self.embedding_AH = nn.Parameter(torch.empty(total + 1, policy.size))  # the last one begins
        self.heads_AH = nn.Parameter(torch.empty(total, policy.size))
        generator = torch.Generator().manual_seed(seed_for(seed, "controller"))
        with torch.no_grad():
            for parameter in self.parameters():
                parameter.uniform_(-0.1, 0.1, generator=generator)

    def forward(self, architectures: Sequence[Architecture]) -> tuple[Tensor, Tensor]:
        """Of each architecture its log-probability, and the entropy of all that was asked on its way.  Shapes (N,)."""

        def as_they_are(choice: Choice, p_RV: Tensor, rows: list[int]) -> list[int]:  # noqa: ARG001
            return [self.values[choice.name].index(architectures[i][choice.name]) for i in rows]

        _, log_p_N, entropy_N = self._walk(len(architectures), as_they_are)
        return log_p_N, entropy_N

    @torch.no_grad()
    def draw(self, count: int, rng: np.random.Generator) -> list[Architecture]:
        """`count` architectures, which may be equal."""

        def drawn(choice: Choice, p_RV: Tensor, rows: list[int]) -> list[int]:  # noqa: ARG001
            upto_RV = np.cumsum(p_RV.cpu().double().numpy(), axis=1)
            at_R = rng.random(len(rows))[:, None] * upto_RV[:, -1:]
            return [int(v) for v in (upto_RV <= at_R).sum(axis=1)]

        return self._walk(count, drawn)[0]

    def _walk(
        self, count: int, pick: Callable[[Choice, Tensor, list[int]], list[int]]
    ) -> tuple[list[Architecture], Tensor, Tensor]:
        """All architectures choice by choice, side by side; rows are those in which the choice is asked."""
        hidden_NH = self.heads_AH.new_zeros(count, self.policy.size)
        memory_NH = hidden_NH
        last_N = torch.full((count,), len(self.embedding_AH) - 1)
        log_p_N, entropy_N = hidden_NH.new_zeros(count), hidden_NH.new_zeros(count)
        picked: list[dict[str, Picked]] = [{} for _ in range(count)]
        for choice in self.space.choices:
            name, values = choice.name, self.values[choice.name]
            rows = [i for i, one in enumerate(picked) if self.space.asks(choice, one)]
            open_R = [self.space.allowed(choice, picked[i]) for i in rows]
            for one in picked:
                if self.space.active(choice, one):  # what is asked gets its answer below
                    open_ = self.space.allowed(choice, one)
                    one[name] = values[0] if open_ == choice.options else open_[0]
            if len(values) == 1 or not rows:
                continue
            row_R = torch.tensor(rows)
            h_RH, c_RH = self.cell(self.embedding_AH[last_N[row_R]], (hidden_NH[row_R], memory_NH[row_R]))
            logits_RV = self._logits(name, h_RH)
            if any(open_ != choice.options for open_ in open_R):
                shut_RV = torch.tensor([[v not in open_ for v in values] for open_ in open_R])
                logits_RV = logits_RV.masked_fill(shut_RV.to(logits_RV.device), NEVER)
            log_p_RV = torch.log_softmax(logits_RV, dim=-1)
            p_RV = log_p_RV.exp()
            taken_R = torch.tensor(pick(choice, p_RV.detach(), rows))
            for i, v in zip(rows, taken_R.tolist(), strict=True):
                picked[i][name] = values[v]
            last_N = last_N.index_copy(0, row_R, self.first[name] + taken_R)
            hidden_NH, memory_NH = hidden_NH.index_copy(0, row_R, h_RH), memory_NH.index_copy(0, row_R, c_RH)
            log_p_N = log_p_N.index_add(0, row_R, log_p_RV.gather(1, taken_R[:, None])[:, 0])
            entropy_N = entropy_N.index_add(0, row_R, -(p_RV * log_p_RV).sum(dim=-1))
        return [Architecture(one) for one in picked], log_p_N, entropy_N

    def _logits(self, name: str, h_RH: Tensor) -> Tensor:
        first = self.first[name]
        z_RV = h_RH @ self.heads_AH[first : first + len(self.values[name])].T
        return self.policy.tanh_constant * torch.tanh(z_RV / self.policy.temperature)


class Reinforce:
    """Moves a controller towards what scores well.

    Attributes:
        baseline: the moving average of rewards; None before the first.
    """

    def __init__(self, controller: Controller) -> None:
        self.controller = controller
        self.optimizer = torch.optim.Adam(controller.parameters(), lr=controller.policy.lr, betas=(0.0, 0.999))
        self.baseline: float | None = None

    def loss(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> tuple[Tensor, dict[str, float]]:
        """What an update lowers; moves the baseline.

        Args:
            scores: of each, more is better.  One that is not finite counts as the lowest of them.
        """
        policy = self.controller.policy
        finite = [score for score in scores if math.isfinite(score)]
        log_p_N, entropy_N = self.controller(architectures)
        counted_N = log_p_N.new_tensor([score if math.isfinite(score) else min(finite) for score in scores])
        reward_N = counted_N + policy.entropy_weight * entropy_N.detach()
        baseline_N = self.baselines(reward_N)
        log = {
            "reward": float(reward_N.mean()), "baseline": float(baseline_N[-1]),
            "entropy": float(entropy_N.detach().mean()),
        }  # fmt: skip
        return -((reward_N - baseline_N) * log_p_N).mean(), log

    def baselines(self, reward_N: Tensor) -> Tensor:
        """What each reward is compared with; every one of them moves the average in turn."""
        found: list[float] = []
        mean, decay = float(reward_N.mean()), self.controller.policy.decay
        for reward in reward_N.tolist():
            last = mean if self.baseline is None else self.baseline
            self.baseline = last - (1.0 - decay) * (last - reward)
            found.append(self.baseline)
        return reward_N.new_tensor(found)

    def update(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> dict[str, float]:
        """One step; none where no score is finite, or nothing to choose."""
        if not any(math.isfinite(score) for score in scores):
            return {}
        loss, log = self.loss(architectures, scores)
        if loss.requires_grad:
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return log
