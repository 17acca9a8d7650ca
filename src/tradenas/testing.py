"""Conformance checks that every operation must pass; a third party's op can run them too.

    from tradenas.testing import check_op
    def test_mine(): check_op(MyOp)

Each check raises AssertionError with the op's name and the figure that is off.
"""

from __future__ import annotations

import torch
from torch.utils.flop_counter import FlopCounterMode

from tradenas.nn.ops import Op

__all__ = ["check_causal", "check_count", "check_gradient", "check_op", "check_reach", "check_shape", "check_width"]

C_IN, C_OUT, ROWS = 6, 8, 60
WIDTHS = (1, 3, 8)


def _built(kind: type[Op], dtype: torch.dtype = torch.float64) -> Op:
    op = kind(C_IN, C_OUT).to(dtype)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for parameter in op.parameters():
            parameter.copy_(torch.randn(parameter.shape, generator=generator, dtype=dtype) * 0.3)
    return op


def _rows(c_in: int = C_IN, dtype: torch.dtype = torch.float64) -> torch.Tensor:
    return torch.randn(2, ROWS, c_in, generator=torch.Generator().manual_seed(5), dtype=dtype)


def check_shape(kind: type[Op]) -> None:
    """(B, T, c) in gives (B, T, width) out, at every smaller input and width."""
    op = _built(kind)
    for c_in in (1, 4, C_IN):
        for width in WIDTHS:
            got = tuple(op(_rows(c_in), width).shape)
            assert got == (2, ROWS, width), f"{kind.__name__}: {got} at c_in {c_in}, width {width}"


def check_causal(kind: type[Op]) -> None:
    """Rows up to t are bit for bit the same whatever comes after t."""
    op, x = _built(kind), _rows()
    before = op(x, C_OUT)
    for cut in range(1, ROWS, 5):
        changed = x.clone()
        changed[:, cut:] = torch.randn(2, ROWS - cut, C_IN, generator=torch.Generator().manual_seed(cut)) * 10.0
        assert torch.equal(op(changed, C_OUT)[:, :cut], before[:, :cut]), f"{kind.__name__} sees past row {cut}"


def check_reach(kind: type[Op]) -> None:
    """Row t depends on row t - reach, and on nothing before it."""
    op, x = _built(kind), _rows()
    last = op(x, C_OUT)[:, -1]
    if op.silent:
        assert not bool(last.any()), f"{kind.__name__} says it is silent and is not"
        assert op.reach == 0, f"{kind.__name__} is silent and reads {op.reach} rows"
        return
    beyond, edge = x.clone(), x.clone()
    beyond[:, : ROWS - 1 - op.reach] += 1.0
    edge[:, ROWS - 1 - op.reach] += 1.0
    assert torch.equal(op(beyond, C_OUT)[:, -1], last), f"{kind.__name__} reads further back than {op.reach} rows"
    assert not torch.equal(op(edge, C_OUT)[:, -1], last), f"{kind.__name__} does not reach {op.reach} rows back"


def check_width(kind: type[Op]) -> None:
    """A mask of ones up to w gives what the slice of width w gives, and zeros beyond it."""
    op, x = _built(kind), _rows()
    for width in WIDTHS:
        mask = (torch.arange(C_OUT) < width).to(x.dtype)
        sliced, masked = op(x, width), op(x, mask)
        torch.testing.assert_close(masked[..., :width], sliced, rtol=1e-12, atol=1e-12)
        assert bool((masked[..., width:] == 0).all()), f"{kind.__name__}: a closed channel is not zero at width {width}"


def check_gradient(kind: type[Op]) -> None:
    """Gradients agree with finite differences, through int widths and through masks."""
    op = _built(kind)
    if op.silent:  # no output hangs on an input
        assert not list(op.parameters()), f"{kind.__name__}: a weight that no gradient reaches"
        return
    x = _rows()[:1, :20].clone().requires_grad_()
    for width in (3, (torch.arange(C_OUT) < 3).to(torch.float64) * 0.5):
        assert torch.autograd.gradcheck(lambda inputs, w=width: op(inputs, w), (x,), fast_mode=True)
    parameters = list(op.parameters())
    if parameters:
        gradients = torch.autograd.grad(op(x, 3).square().sum(), parameters)
        assert all(bool(g.abs().sum() > 0) for g in gradients), f"{kind.__name__}: a weight that no gradient reaches"


def check_count(kind: type[Op]) -> None:
    """Parameters of the standalone op and multiply-accumulates per row are what the profiler counts."""
    for c_in, width in ((C_IN, C_OUT), (4, 3)):
        op = kind(c_in, width).to("meta")
        count = op.count(c_in, width)
        parameters = sum(p.numel() for p in op.parameters())
        assert count.parameters == parameters, f"{kind.__name__}: {count.parameters} parameters, has {parameters}"
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            op(torch.empty(1, ROWS, c_in, device="meta"), width)
        macs = counter.get_total_flops() / 2 / ROWS
        assert count.macs - macs <= width, f"{kind.__name__}: {count.macs} macs a row, the profiler says {macs}"
        assert count.macs >= macs, f"{kind.__name__}: {count.macs} macs a row, the profiler says {macs}"


def check_op(kind: type[Op]) -> None:
    """All of the above."""
    for check in (check_shape, check_causal, check_reach, check_width, check_gradient, check_count):
        check(kind)
