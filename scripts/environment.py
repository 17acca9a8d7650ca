"""What must hold of the environment: no CUDA libraries beside a CPU torch, and a command line that answers at once."""

from __future__ import annotations

import importlib.metadata
import os
import resource
import subprocess
import sys

HELP_SECONDS = 0.5


def cuda_packages() -> list[str]:
    """Distributions of CUDA.  They belong to a CUDA build of torch, and to nothing else."""
    names = sorted({d.metadata["Name"].lower() for d in importlib.metadata.distributions()})
    return [name for name in names if name.startswith(("nvidia-", "triton"))]


def help_seconds() -> float:
    """CPU seconds of `tradenas --help`, the best of three: the machine may be busy."""
    best = float("inf")
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        code = "from tradenas.cli import main; main()"
        subprocess.run([sys.executable, "-c", code, "--help"], check=True, capture_output=True)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        best = min(best, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return best


def main() -> int:
    """Prints every fault; 1 where there is one."""
    faults = []
    import torch

    extra = cuda_packages()
    if extra and (torch.version.cuda is None or os.environ.get("TRADENAS_CPU_ONLY")):
        faults.append(
            f"CUDA came along: {', '.join(extra)}; install torch from constraints.txt first, as the Makefile does"
        )
    seconds = help_seconds()
    print(f"tradenas --help: {seconds:.2f} s of CPU")
    if seconds > HELP_SECONDS:
        faults.append(f"tradenas --help takes {seconds:.2f} s of CPU, at most {HELP_SECONDS}; what does it import?")
    print("\n".join(faults))
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
