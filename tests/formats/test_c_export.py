"""The format `c`: what lies in the folder, and that it is proved, with and without tradenas."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from formats.programs import drawn
from tradenas.errors import ConfigError, ParityError
from tradenas.formats.base import Options, find_format
from tradenas.formats.c.emit import TOLERANCE
from tradenas.formats.lower import lower
from tradenas.formats.parity import Subject, demand
from tradenas.formats.simplify import simplify
from tradenas.nn.mode import Mode
from tradenas.seeds import rng_for

pytestmark = pytest.mark.skipif(not (shutil.which("gcc") or shutil.which("clang")), reason="apt-get install gcc")


@pytest.fixture(scope="module")
def subject():
    """A network of several ops in float32, as a study trades it."""
    torch.set_num_threads(1)
    network, moments = drawn("chain", 5)
    program = simplify(lower(network, moments))
    network.float()
    mode = Mode(moments={k: tuple(m.float() for m in pair) for k, pair in moments.items()} or None)

    def said(x_NRF):
        full = np.zeros((*x_NRF.shape[:2], 8), np.float32)
        full[:, :, list(program.columns)] = x_NRF
        with torch.inference_mode():
            return network(torch.from_numpy(full), {}, mode)[:, -1].double().numpy()

    rows_TF = rng_for(0, "real").standard_normal((300, len(program.columns))).astype(np.float32)
    return Subject(program=program, network=said, rows_TF=rows_TF, calibration_TF=rows_TF, labels_T=np.zeros(300))


@pytest.fixture(scope="module")
def left(subject, tmp_path_factory):
    folder = tmp_path_factory.mktemp("left")
    return folder, find_format("c")(subject, Options(), folder)


def test_it_is_proved_against_torch(subject, left):
    _, written = left
    assert [f.name for f in written.files] == ["tradenas_net.c", "loader.py"]
    demand(written.proofs)
    assert [p.what.split(",")[0] for p in written.proofs] == ["c window", "c stream"]
    assert all(p.compared > 700 and p.real > 200 and p.tolerance == TOLERANCE == 1e-6 for p in written.proofs)
    facts = written.facts
    assert 0 < facts["c_from_double"] < TOLERANCE
    assert facts["network_from_double"] > 0
    assert facts["self_test"].endswith("passed")
    assert "-DTRADENAS_NET_MAIN" in facts["command"]
    assert facts["shared_object_bytes"] <= 40_000
    json.dumps(dict(facts))


def test_another_network_is_not_proved(subject, left):
    other = replace(subject, network=lambda x: subject.network(x) + 1e-4)
    with pytest.raises(ParityError, match="c window"):
        demand(find_format("c")(other, Options(streaming=False), left[0]).proofs)


def test_the_folder_is_enough(subject, left, tmp_path):
    """Another machine has the two files, NumPy and a compiler."""
    _, written = left
    for file in written.files:
        shutil.copy(file, tmp_path)
    code = (
        "import sys; sys.modules['tradenas'] = None\n"
        "import numpy, loader\n"
        "net = loader.load('tradenas_net.c', 'tradenas_net')\n"
        "print(repr(net.window(numpy.ones((net.REACH, net.COLUMNS), numpy.float32))))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    want = subject.network(np.ones((1, subject.program.reach, len(subject.program.columns)), np.float32))[0]
    assert float(done.stdout) == pytest.approx(want, abs=1e-5)
    assert [p.parent.name for p in tmp_path.rglob("*.so")] == ["built"]


def test_what_c_does_not_do_is_refused(subject, tmp_path):
    with pytest.raises(ConfigError, match="batch"):
        find_format("c")(subject, Options(batch=4), tmp_path)
    with pytest.raises(ConfigError, match="eight_bits"):
        find_format("c")(subject, Options(int8=True), tmp_path)
