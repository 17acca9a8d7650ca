"""The minimal GRU is the recurrence of its paper over its last rows."""

import pytest
import torch

from tradenas.nn import OPS
from tradenas.nn.precision import Precision


def written_out(op, x_BTC):
    """Row by row, each from a state of zero `rows - 1` rows before."""
    out = torch.zeros(*x_BTC.shape[:2], op.c_out, dtype=x_BTC.dtype)
    for t in range(x_BTC.shape[1]):
        h = torch.zeros(x_BTC.shape[0], op.c_out, dtype=x_BTC.dtype)
        for s in range(max(0, t - op.rows + 1), t + 1):
            z = torch.sigmoid(x_BTC[:, s] @ op.gate.weight.T + op.gate.bias)
            h = (1 - z) * h + z * (x_BTC[:, s] @ op.new.weight.T + op.new.bias)
        out[:, t] = h
    return out


@pytest.mark.parametrize("name", ["mingru", "mingru8", "mingru4"])
def test_it_is_the_recurrence_over_its_rows(name):
    op, generator = OPS[name](3, 5).double(), torch.Generator().manual_seed(1)
    for parameter in op.parameters():
        torch.nn.init.normal_(parameter, std=0.5, generator=generator)
    x_BTC = torch.randn(2, 40, 3, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(op(x_BTC, 5), written_out(op, x_BTC), rtol=1e-12, atol=1e-12)


def test_under_a_precision_its_state_lies_on_a_finer_grid():
    op, generator = OPS["mingru8"](3, 5), torch.Generator().manual_seed(2)
    for parameter in op.parameters():
        torch.nn.init.normal_(parameter, std=0.7, generator=generator)
    x_BTC = torch.randint(-40, 40, (1, 60, 3), generator=generator) / 16.0
    y = op(x_BTC, 5, Precision(weights=(("4", None),), activations=(("6", None),))).detach()
    steps = y * 2.0**5  # 6 + 2 bits: a sign, two before the point, five after it
    assert torch.equal(steps, steps.round())
    assert not torch.equal(y * 2.0**3, (y * 2.0**3).round())
    assert float(y.max() - y.min()) > 1.0
