"""Memory that nobody wrote to reads as NaN in every test.

`torch.empty` and `numpy.empty` give whatever lay there before, which is zeros nearly always: a test, or the code under
it, that reads a weight before it was drawn then passes on a thousand runs and fails on one.
"""

from __future__ import annotations

from functools import wraps

import numpy as np
import torch


def _torch(make):
    @wraps(make)
    def made(*args, **kwargs):
        tensor = make(*args, **kwargs)
        if isinstance(tensor, torch.Tensor) and tensor.is_floating_point() and tensor.device.type == "cpu":
            tensor.detach().fill_(float("nan"))
        return tensor

    return made


def _numpy(make):
    @wraps(make)
    def made(*args, **kwargs):
        array = make(*args, **kwargs)
        if array.dtype.kind in "fc":
            array.fill(np.nan)
        return array

    return made


def pytest_configure(config):
    torch.empty, torch.empty_like = _torch(torch.empty), _torch(torch.empty_like)
    torch.Tensor.new_empty = _torch(torch.Tensor.new_empty)
    np.empty, np.empty_like = _numpy(np.empty), _numpy(np.empty_like)
