"""Proximal policy optimisation of a controller (Schulman et al. 2017, arXiv:1707.06347): several steps on one batch.

    ratio      r = p(a) / p_drawn(a), the controller now over the controller that drew            sec. 3
    gain       mean min(r A, clip(r, 1 - e, 1 + e) A): beyond the clip a step gains nothing       eq. 7
    advantage  A = (R - b) / spread of R in the batch, b the moving average of `Reinforce`

Where an architecture takes a training, samples are dear.  REINFORCE may take one step on a batch, which then is drawn
by another policy; the clip says how far several may go.  The first step is REINFORCE's, but for the spread.

Departures: no value network, the baseline is a moving average as in ENAS's controller; entropy is a part of the reward,
as there.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch

from tradenas.search.parts.controller import Controller, Reinforce
from tradenas.space import Architecture

__all__ = ["Proximal"]


class Proximal(Reinforce):
    """Moves a controller towards what scores well, `policy.steps` steps on each batch.

    Args:
        controller: to move.
        clip: how far from 1 the ratio may go and still gain (e).
    """

    def __init__(self, controller: Controller, *, clip: float) -> None:
        super().__init__(controller)
        self.clip = clip

    def gain(self, ratio_N: torch.Tensor, advantage_N: torch.Tensor) -> torch.Tensor:
        """What a step raises: the smaller of both is a bound from below, so that no step is taken for its size.

        >>> one = Proximal.__new__(Proximal)
        >>> one.clip = 0.2
        >>> ratio = torch.tensor([0.5, 1.0, 1.5])
        >>> one.gain(ratio, torch.ones(3)).tolist(), one.gain(ratio, -torch.ones(3)).tolist()
        ([0.5, 1.0, 1.2000000476837158], [-0.800000011920929, -1.0, -1.5])
        """
        return torch.minimum(ratio_N * advantage_N, ratio_N.clamp(1 - self.clip, 1 + self.clip) * advantage_N)

    def update(self, architectures: Sequence[Architecture], scores: Sequence[float]) -> dict[str, float]:
        """The steps of one batch; none where no score is finite, or nothing to choose.

        Args:
            architectures: drawn by the controller as it stands.
            scores: of each, more is better.  One that is not finite counts as the lowest of them.
        """
        finite = [score for score in scores if math.isfinite(score)]
        if not finite:
            return {}
        with torch.no_grad():
            drawn_N, entropy_N = self.controller(architectures)
        policy = self.controller.policy
        counted_N = drawn_N.new_tensor([s if math.isfinite(s) else min(finite) for s in scores])
        reward_N = counted_N + policy.entropy_weight * entropy_N
        baseline_N = self.baselines(reward_N)
        spread = float(reward_N.std(correction=0))
        advantage_N = (reward_N - baseline_N) / (spread if spread > 0 else 1.0)
        for _ in range(policy.steps):
            log_p_N, _ = self.controller(architectures)
            loss = -self.gain((log_p_N - drawn_N).exp(), advantage_N).mean()
            if not loss.requires_grad:
                break
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            self.optimizer.step()
        return {"reward": float(reward_N.mean()), "baseline": float(baseline_N[-1]), "entropy": float(entropy_N.mean())}
