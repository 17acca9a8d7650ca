"""The two textbook networks and the loop that fits them; the only file of the baselines that imports torch.

Shapes: B batch, L rows of a window, F features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from tradenas.errors import DivergedError
from tradenas.seeds import rng_for
from tradenas.splits import Span
from tradenas.train.dataset import Dataset
from tradenas.train.loss import Objective
from tradenas.trials.baselines.rows import Inputs, answer, hold_out_tail, spread, training_rows
from tradenas.typing import Float32Array, FloatArray, IntArray

__all__ = ["DLinearNetwork", "Fitting", "GRUNetwork", "fit_network"]


class DLinearNetwork(nn.Module):
    """A moving average of the window and what is left of it, a weight for each row and column of both.

    Zeng et al., "Are transformers effective for time series forecasting?", AAAI 2023 (DLinear).  Departures: one output
    from all columns in place of a series per column, and weights that start at 0 (the function is linear).
    """

    def __init__(self, features: int, window: int, *, average: int) -> None:
        super().__init__()
        self.average = average
        self.trend_LF = nn.Parameter(torch.zeros(window, features))
        self.rest_LF = nn.Parameter(torch.zeros(window, features))
        self.offset = nn.Parameter(torch.zeros(()))

    def forward(self, x_BLF: Tensor) -> Tensor:
        before = (self.average - 1) // 2
        padded_BFL = functional.pad(x_BLF.transpose(1, 2), (before, self.average - 1 - before), mode="replicate")
        trend_BLF = functional.avg_pool1d(padded_BFL, self.average, stride=1).transpose(1, 2)
        weighted_BLF = trend_BLF * self.trend_LF + (x_BLF - trend_BLF) * self.rest_LF
        return weighted_BLF.sum((1, 2)) + self.offset


class GRUNetwork(nn.Module):
    """One gated recurrent layer (Cho et al., 2014) and a linear read-out of its last state."""

    def __init__(self, features: int, hidden: int, *, seed: int) -> None:
        super().__init__()
        # Made without values ("meta"), because torch would draw them from its global generator.
        self.gru = nn.GRU(features, hidden, batch_first=True, device="meta").to_empty(device="cpu")
        self.out = nn.Linear(hidden, 1, device="meta").to_empty(device="cpu")
        generator = torch.Generator().manual_seed(seed)
        for parameter in self.parameters():
            nn.init.uniform_(parameter, -(hidden**-0.5), hidden**-0.5, generator=generator)

    def forward(self, x_BLF: Tensor) -> Tensor:
        states_BLC, _ = self.gru(x_BLF)
        out: Tensor = self.out(states_BLC[:, -1]).squeeze(-1)
        return out


@contextmanager
def _one_thread() -> Iterator[None]:
    """Runs torch on one thread, so that a small network is neither slowed by others nor rounded by their number."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


@dataclass(frozen=True, kw_only=True)
class Fitting:
    """AdamW with early stopping: the weights of the epoch with the lowest loss on the tail are kept.

    An epoch is one pass in random order over the rows to fit, or over `rows_per_epoch` of them drawn afresh, which
    bounds the time whatever the length of the history.
    """

    learning_rate: float
    weight_decay: float
    max_epochs: int = 20
    patience: int = 3
    batch: int = 256
    rows_per_epoch: int = 16_384
    max_tail_rows: int = 4096

    def run(
        self,
        network: nn.Module,
        inputs: Inputs,
        y_T: FloatArray,
        fit_R: IntArray,
        tail_R: IntArray,
        *,
        binary: bool,
        seed: int,
    ) -> None:
        """Fits `network` in place to labels `y_T` (logits if binary), on `fit_R`, stopped by `tail_R`.

        Raises:
            DivergedError: a loss is not finite.
        """
        loss_of = functional.binary_cross_entropy_with_logits if binary else functional.mse_loss
        label_T = torch.from_numpy(y_T.astype(np.float32))
        optimizer = torch.optim.AdamW(network.parameters(), lr=self.learning_rate, weight_decay=self.weight_decay)
        tail_R = spread(tail_R, self.max_tail_rows)
        tail_label = label_T[torch.from_numpy(tail_R)]
        best, best_state, bad_epochs = np.inf, _copy(network), 0
        for epoch in range(self.max_epochs):
            order_R = rng_for(seed, "baselines", "epoch", epoch).permutation(fit_R)[: self.rows_per_epoch]
            network.train()
            for start in range(0, len(order_R), self.batch):
                rows_B = order_R[start : start + self.batch]
                out_B = network(torch.from_numpy(inputs.windows(rows_B)))
                loss = loss_of(out_B, label_T[torch.from_numpy(rows_B)])
                optimizer.zero_grad(set_to_none=True)
                loss.backward()  # type: ignore[no-untyped-call]
                nn.utils.clip_grad_norm_(network.parameters(), 1.0)
                optimizer.step()
            tail_loss = float(loss_of(torch.from_numpy(_respond(network, inputs, tail_R)), tail_label))
            if not np.isfinite(tail_loss):
                raise DivergedError(
                    f"{type(network).__name__}, epoch {epoch}",
                    got=f"a loss of {tail_loss}",
                    expected="a finite one",
                    fix="lower the learning rate",
                )
            if tail_loss < best:
                best, best_state, bad_epochs = tail_loss, _copy(network), 0
            else:
                bad_epochs += 1
                if bad_epochs == self.patience:
                    break
        network.load_state_dict(best_state)


def _respond(network: nn.Module, inputs: Inputs, rows_R: IntArray, *, chunk: int = 2048) -> Float32Array:
    """What a fitted network says of each row."""
    network.eval()
    out_R = np.empty(len(rows_R), np.float32)
    with torch.no_grad():
        for start in range(0, len(rows_R), chunk):
            part = slice(start, start + chunk)
            out_R[part] = network(torch.from_numpy(inputs.windows(rows_R[part]))).numpy()
    return out_R


def _copy(network: nn.Module) -> dict[str, Tensor]:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def fit_network(
    data: Dataset,
    train: Span,
    predict: Span,
    *,
    build: Callable[[int], nn.Module],
    fitting: Fitting,
    transform: str,
    window: int,
    raw: bool,
    seed: int,
    reach: int,
) -> FloatArray:
    """Builds a network for a number of features, fits it on `train`, and answers for `predict`."""
    fit_R, tail_R = hold_out_tail(training_rows(data, train, reach), purge=reach)
    inputs = Inputs.fitted(data, fit_R, transform=transform, window=window, raw=raw)
    objective = Objective.fitted(data, train)
    binary = data.kind == "binary"
    with _one_thread():
        network = build(inputs.x_TF.shape[1])
        fitting.run(network, inputs, objective.labels(data), fit_R, tail_R, binary=binary, seed=seed)
        output_T = answer(data, predict, reach, lambda rows_R: _respond(network, inputs, rows_R))
    return objective.signal(output_T, data, predict)
