"""N networks of one shape as one: their weights in a matrix (N, P), and AdamW on its rows."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from tradenas.nn import Mode, Network, native
from tradenas.train.loop import Training
from tradenas.train.loss import Objective
from tradenas.train.moves import RowMoves, forget
from tradenas.train.segments import Batch

__all__ = ["Stack"]

#: As in `tradenas.train.loop.optimizer_for`.
BETAS, EPSILON = (0.9, 0.99), 1e-8


class Stack:
    """The stacked network, whose parameters are views of one matrix, with gradients and moments beside it.

    One row is one network, so that clipping, learning rate, decay and skipping go row by row in a handful of calls.

    Args:
        networks: of one architecture; copied, not changed.
    """

    def __init__(self, networks: Sequence[Network]) -> None:
        self.network = copy.deepcopy(networks[0])
        self.shapes = {name: p.shape for name, p in networks[0].named_parameters()}
        rows = [torch.cat([p.detach().flatten() for p in network.parameters()]) for network in networks]
        self.weights_NP = torch.stack(rows)
        decays = [torch.full((p.numel(),), float(p.ndim > 1)) for p in networks[0].parameters()]
        self.decays_P = torch.cat(decays).to(self.weights_NP.device)
        self.mean_NP = torch.zeros_like(self.weights_NP)
        self.square_NP = torch.zeros_like(self.weights_NP)
        self.steps_NP = torch.zeros(len(networks), len(self.shapes), device=self.weights_NP.device)  # of each tensor
        self._attach()

    def _attach(self) -> None:
        """Makes the network's parameters views of the rows."""
        self.parameters: list[nn.Parameter] = []
        self.gradients: list[Tensor] = []
        at = 0
        for name, shape in self.shapes.items():
            columns, at = slice(at, at + shape.numel()), at + shape.numel()
            home, _, last = name.rpartition(".")
            self.parameters.append(nn.Parameter(self.weights_NP[:, columns].view(len(self), *shape)))
            setattr(self.network.get_submodule(home), last, self.parameters[-1])
        self._moves = RowMoves(
            self.weights_NP, self.mean_NP, self.square_NP, self.steps_NP,
            [shape.numel() for shape in self.shapes.values()], [len(shape) > 1 for shape in self.shapes.values()],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.weights_NP)

    def keep(self, rows: Sequence[bool]) -> None:
        """Goes on with some of the networks only."""
        kept = torch.tensor(rows, device=self.weights_NP.device)
        for name in ("weights_NP", "mean_NP", "square_NP", "steps_NP"):
            setattr(self, name, getattr(self, name)[kept])
        self._attach()

    def unload(self, row_P: Tensor, network: Network) -> None:
        """Writes one row of weights into a network of its own."""
        at = 0
        with torch.no_grad():
            for name, parameter in network.named_parameters():
                size = self.shapes[name].numel()
                parameter.copy_(row_P[at : at + size].view(self.shapes[name]))
                at += size

    def learn(self, batch: Batch, mode: Mode, objective: Objective) -> tuple[Tensor, Tensor]:
        """The loss of each network on its own part of a batch, (N, B, ...), and the norm of its gradient; both (N,)."""
        forget(self.parameters)
        call = native.call_of(self.network, batch.x_BTF, {}, mode)
        if call is not None and call.learns:
            loss_N, g_NBS = objective.gradients(call.forward(), batch.y_BS, batch.weight_BS)
            call.pull(g_NBS)
            return loss_N, self._norms()
        loss_N = objective.loss(self.run(batch.x_BTF, mode)[..., -mode.scored :], batch.y_BS, batch.weight_BS)
        return loss_N.detach(), self.differentiate(loss_N)

    def differentiate(self, loss_N: Tensor) -> Tensor:
        """The gradient of each network's own loss; returns its norm, shape (N,)."""
        for parameter, gradient in zip(
            self.parameters, torch.autograd.grad(loss_N.sum(), self.parameters), strict=True
        ):
            parameter.grad = gradient.contiguous()
        return self._norms()

    def _norms(self) -> Tensor:
        self.gradients = [torch.zeros_like(p) if p.grad is None else p.grad for p in self.parameters]
        norm_N = self._moves.norms(self.gradients)
        if norm_N is not None:
            return norm_N
        found_N: Tensor = torch.linalg.vector_norm(self._gradient_NP(), dim=1)
        return found_N

    def _gradient_NP(self) -> Tensor:  # noqa: N802 - ends in its shape
        return torch.cat([gradient.flatten(1) for gradient in self.gradients], dim=1)

    def step(self, lr_N: Sequence[float], norm_N: Tensor, goes_N: Tensor, training: Training) -> None:
        """Clips each network's gradient and moves it by AdamW, then shrinks its taps; rows not in `goes_N` stay."""
        goes = goes_N.tolist()
        if self._moves.table is not None:
            self._moves.step(lr_N, norm_N, goes_N, training, BETAS, EPSILON)
        elif any(goes):
            rows = slice(None) if all(goes) else goes_N.nonzero()[:, 0]
            lr_N1 = torch.tensor(lr_N, device=norm_N.device)[:, None]
            self._step(rows, lr_N1[rows], norm_N[rows, None], training)
        amounts = [training.tap_l1 * lr if go else 0.0 for lr, go in zip(lr_N, goes, strict=True)]
        self.network.inputs.shrink(torch.tensor(amounts, device=norm_N.device)[:, None, None])

    @torch.no_grad()
    def _step(self, rows: slice | Tensor, lr_M1: Tensor, norm_M1: Tensor, training: Training) -> None:
        gradient_MP = self._gradient_NP()[rows] * (training.clip / (norm_M1 + 1e-6)).clamp(max=1.0)
        if isinstance(rows, slice):
            weights, mean, square = self.weights_NP, self.mean_NP, self.square_NP
        else:
            weights, mean, square = self.weights_NP[rows], self.mean_NP[rows], self.square_NP[rows]
        self.steps_NP[rows] += 1.0
        steps_M1 = self.steps_NP[rows, :1].double()
        weights.mul_(1.0 - lr_M1 * training.weight_decay * self.decays_P)
        mean.lerp_(gradient_MP, 1.0 - BETAS[0])
        square.mul_(BETAS[1]).addcmul_(gradient_MP, gradient_MP, value=1.0 - BETAS[1])
        first, second = ((1.0 - beta**steps_M1).to(lr_M1) for beta in BETAS)
        spread = square.sqrt().div_(second.sqrt()).add_(EPSILON)
        weights.sub_(mean / spread * (lr_M1 / first))
        if not isinstance(rows, slice):
            self.weights_NP[rows], self.mean_NP[rows], self.square_NP[rows] = weights, mean, square

    def run(self, x_NBTF: Tensor, mode: Mode) -> Tensor:
        """Signals (N, B, T)."""
        return cast("Tensor", self.network(x_NBTF, {}, mode))
