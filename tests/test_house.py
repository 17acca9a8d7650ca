"""What every user meets first: the import, the command, the wheel, the README, the pages that describe the package."""

from __future__ import annotations

import ast
import importlib
import importlib.util
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from types import ModuleType

import pytest

import tradenas

ROOT = Path(__file__).resolve().parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
HEAVY = ("torch", "pyarrow", "polars", "scipy", "pandas", "lightgbm", "pydantic", "numpy")


def script(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "scripts" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, timeout=120)


def loaded_by(code: str) -> list[str]:
    told = f"import sys\ntry:\n    {code}\nexcept SystemExit:\n    pass\n"
    told += f"import json\nprint('\\n' + json.dumps([m for m in {HEAVY!r} if m in sys.modules]))"
    done = python(told, "--help")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.splitlines()[-1])


def test_import_loads_nothing_heavy():
    assert loaded_by("import tradenas") == []
    assert "torch" in loaded_by("from tradenas import Network")  # the question can be answered with yes


def test_help_loads_nothing_heavy():
    assert loaded_by("from tradenas.cli import main; main()") == []


def test_help_is_quick():
    assert script("environment").help_seconds() < 0.5


@pytest.mark.parametrize("verb", ["fetch", "check", "run", "resume", "report", "demo", "export", "cite"])
def test_every_verb_explains_itself(verb):
    done = python("from tradenas.cli import main; main()", verb, "--help")
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) > 5
    assert f"tradenas {verb}" in README


def test_public_names_resolve_and_say_what_they_are_for():
    assert sorted(set(tradenas.__all__)) == sorted(tradenas.__all__) == sorted(tradenas._MODULE)
    for name in tradenas.__all__:
        thing = getattr(tradenas, name)
        first = (thing.__doc__ or "").strip().partition("\n")[0]
        assert first, name
        assert not first.startswith(f"{name}("), f"{name} has only the docstring that dataclasses write"
    assert dir(tradenas) == sorted(tradenas.__all__)
    with pytest.raises(AttributeError, match="nothing_of_this_name"):
        tradenas.nothing_of_this_name  # noqa: B018


def test_the_type_checker_and_the_loader_agree():
    """`TYPE_CHECKING` imports and the table of lazy names are two lists of the same."""
    tree = ast.parse(Path(tradenas.__file__).read_text(encoding="utf-8"))
    block = next(n for n in tree.body if isinstance(n, ast.If))
    typed = {a.name: n.module for n in block.body if isinstance(n, ast.ImportFrom) for a in n.names}
    assert typed == tradenas._MODULE


def test_every_module_names_what_it_offers():
    lacking = []
    for file in sorted((ROOT / "src" / "tradenas").rglob("*.py")):
        body = ast.parse(file.read_text(encoding="utf-8")).body
        names = {t.id for n in body if isinstance(n, ast.Assign) for t in n.targets if isinstance(t, ast.Name)}
        defines = any(isinstance(n, (ast.FunctionDef, ast.ClassDef)) for n in body)
        if defines and "__all__" not in names:
            lacking.append(str(file.relative_to(ROOT)))
    assert lacking == []


def without(package: str, code: str) -> subprocess.CompletedProcess[str]:
    """Runs code where a package cannot be imported, as in an install without extras."""
    hide = (
        "import sys, importlib.abc\n"
        "class Hide(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name.partition('.')[0] == {package!r}:\n"
        "            raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Hide())\n"
    )
    return python(hide + code)


def test_candles_are_checked_without_torch():
    run = "sys.argv = ['tradenas', 'check', 'planted:noise', '--json']\nfrom tradenas.cli import main\nmain()"
    done = without("torch", run)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["ok"] is True


def test_a_missing_extra_is_named_with_its_pip_command():
    done = without("torch", "sys.argv = ['tradenas', 'demo']\nfrom tradenas.cli import main\nmain()")
    assert done.returncode == 1
    assert "pip install 'tradenas[search]'" in done.stderr
    assert "Traceback" not in done.stderr
    done = without("polars", "from tradenas import Study")
    assert "MissingExtra: polars: got not installed" in done.stderr
    done = without("made_up", "import made_up")
    assert done.stderr.strip().endswith("ModuleNotFoundError: No module named 'made_up'")


def test_no_cuda_beside_a_cpu_torch():
    import torch

    if torch.version.cuda is not None:
        pytest.skip("this torch is a CUDA build: its libraries belong to it")
    assert script("environment").cuda_packages() == []


def test_constraints_pin_every_dependency():
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pinned = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[0-9][0-9a-z.]*", line) for line in pinned), pinned
    known = {re.sub(r"[-_.]+", "-", line.partition("==")[0]).lower() for line in pinned}
    extras = PYPROJECT["project"]["optional-dependencies"]
    wanted = [*PYPROJECT["project"]["dependencies"], *(r for extra in extras.values() for r in extra)]
    names = {re.sub(r"[-_.]+", "-", re.match(r"[A-Za-z0-9._-]+", r)[0]).lower() for r in wanted} - {"tradenas"}
    assert names <= known
    assert "torch==2.13.0" in pinned


def test_the_wheel_holds_the_package_and_its_data(tmp_path):
    pytest.importorskip("hatchling", reason="hatchling is not installed: pip install 'tradenas[dev]'")
    code = "import os, sys; os.chdir(sys.argv[1])\n"
    code += "from hatchling.build import build_wheel; print(build_wheel(sys.argv[2]))"
    done = python(code, str(ROOT), str(tmp_path))
    assert done.returncode == 0, done.stderr
    wheel = tmp_path / done.stdout.split()[-1]
    assert wheel.stat().st_size < 1_050_000  # source, docstrings and the page; no data
    held = set(zipfile.ZipFile(wheel).namelist())
    source = ROOT / "src"
    files = [f for f in (source / "tradenas").rglob("*") if f.is_file() and "__pycache__" not in f.parts]
    assert {str(f.relative_to(source).as_posix()) for f in files} <= held
    for needed in ("study/demos/sp500.toml", "report/static/page.css", "py.typed"):
        assert f"tradenas/{needed}" in held
    assert not [name for name in held if name.startswith("tests/")]


def test_commands_of_the_readme_exist():
    rules = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    wanted = set(re.findall(r"\bmake ([a-z]+)\b", README))
    assert {"demo", "test"} <= wanted <= rules
    verbs = set(re.findall(r"^ *tradenas ([a-z]+)\b", README, re.MULTILINE))
    from tradenas.cli.app import app

    known = {command.name or command.callback.__name__ for command in app.registered_commands if command.callback}
    assert verbs <= known


def test_links_of_the_pages_lead_somewhere():
    for page in [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")]:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


def test_python_of_the_readme_runs(tmp_path):
    """The example as it stands, on a market that is made in no time."""
    code = re.search(r"```python\n(.*?)```", README, re.DOTALL)[1]
    small = code.replace('Study.of("study.toml")', 'Study.of("study.toml", changes=SMALL)')
    assert small != code
    settings = (
        'name = "tiny"\n[data]\nsource = "planted:reversal"\nbars = 3000\n[features]\nindicators = ["log_return_1"]\n'
        'window = 20\n[space]\ndepths = [1]\nwidths = [8]\nops = ["dense"]\nlookbacks = [5]\n[trials]\ntop_k = 1\n'
        'seeds = 1\nrandom = 0\ncoupling = 0\nbaselines = ["flat", "hold"]\n[runner]\nkind = "inline"\n'
    )
    (tmp_path / "study.toml").write_text(settings, encoding="utf-8")
    rows = [f"{1_704_067_200_000 + 3_600_000 * i},100,102,99,{100 + i % 3},5" for i in range(48)]
    table = "\n".join(["timestamp,open,high,low,close,volume", *rows])
    (tmp_path / "candles.csv").write_text(table, encoding="utf-8")
    small = (
        "SMALL = {'search.num_ranked': 4, 'search.training.epochs': 2, 'trials.training.epochs': 2}\n"
        f"import os; os.chdir({str(tmp_path)!r})\n" + small
    )
    done = subprocess.run(
        [sys.executable, "-c", small],
        capture_output=True,
        text=True,
        timeout=200,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    assert done.returncode == 0, done.stderr
    assert re.search(r"EDGE|NO EVIDENCE|NO EDGE", done.stdout)


def test_study_page_is_up_to_date():
    """In a process of its own: other tests register things."""
    done = subprocess.run(
        [sys.executable, ROOT / "scripts" / "study_docs.py", "--check"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_study_page_refuses_a_key_without_words():
    from dataclasses import dataclass

    @dataclass
    class Section:
        """A section.

        Attributes:
            told: of what
                it is.
        """

        told: int = 1
        untold: int = 2

    docs = script("study_docs")
    assert docs.described(Section) == {"told": "of what it is."}
    with pytest.raises(SystemExit, match="untold"):
        docs.table(Section, Section())


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        ("x" * 300_001, "at most"),
        ("see /" + "tmp/run.log", "path of one machine"),
        ("at /" + "home/me/data", "path of one machine"),
        ("index = https://py" + "pi.org/simple", "package registry"),
        ("# TO" + "DO: later", "unfinished thought"),
        ("a/tmp/b and $HOME/work/x and https://example.org/work/1", None),
        ("todo lists are fine", None),
    ],
)
def test_what_no_tracked_file_may_hold(content, fault):
    found = list(script("tracked").faults_of("notes.md", content.encode()))
    assert len(found) == (fault is not None)
    assert fault is None or fault in found[0]
