"""Stacked convolutions by shifted products: torch's own convolution, network by network, and its gradients."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from tradenas.nn.shifted import shifted_products


@pytest.mark.parametrize(("kernel", "dilation"), [(1, 1), (3, 1), (5, 1), (3, 4)])
def test_each_network_convolves_its_own_rows(kernel, dilation):
    generator = torch.Generator().manual_seed(0)

    def drawn(*shape):
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    x, weight, bias = drawn(3, 2, 11, 4), drawn(3, kernel, 4, 5), drawn(3, 5)
    reach = (kernel - 1) * dilation
    want = torch.stack(
        [
            F.conv1d(F.pad(x[n].transpose(1, 2), (reach, 0)), weight[n].permute(2, 1, 0), bias[n], dilation=dilation)
            for n in range(3)
        ]
    ).transpose(2, 3)
    got = shifted_products(x, weight, bias, dilation=dilation)
    torch.testing.assert_close(got, want, rtol=1e-12, atol=1e-12)
    loss = drawn(*want.shape).detach()
    ours, theirs = (torch.autograd.grad((y * loss).sum(), (x, weight, bias)) for y in (got, want))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-12)
