"""One contract for all runners, then what only processes must stand: deaths, hangs, kills of anything at any time."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tradenas import atomic
from tradenas.errors import ConfigError, FolderError, TradenasError
from tradenas.trials.jobs import JOBS, JobDone, JobSpec, add_input, read_result
from tradenas.trials.ledger import Ledger
from tradenas.trials.runner import InlineRunner, ProcessRunner, Runner
from trials import planted_jobs  # registers them

assert planted_jobs.__name__ == "trials.planted_jobs"


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def draws(num: int, **params: object) -> list[JobSpec]:
    return [JobSpec(kind="planted/draw", params={"n": i, **params}, seed=i) for i in range(num)]


def content(done: dict[str, JobDone]) -> list[object]:
    """All that a study may depend on: ids, outcomes, and every byte written beside them."""
    return [
        (
            one.id,
            one.status,
            one.result,
            one.error,
            one.folder and {p.name: p.read_bytes() for p in sorted(one.folder.rglob("*")) if p.is_file()},
        )
        for one in done.values()
    ]


def left(folder: Path) -> list[str]:
    """What is in the folder beside lock, inputs and results."""
    return sorted(p.name for p in folder.iterdir() if p.name not in (".lock", "inputs") and len(p.name) != 64)


@pytest.mark.parametrize("runner", [InlineRunner(), ProcessRunner(2)], ids=["inline", "process"])
class TestContract:
    def test_outcomes_are_sorted_and_on_disk_before_anybody_hears(
        self, runner: Runner, ledger: Ledger, tmp_path: Path
    ) -> None:
        folder, heard = tmp_path / "jobs", []

        def on_done(one: JobDone) -> None:
            heard.append(one.id)
            assert ledger.jobs.rows([one.id])[one.id].state == "done"
            assert read_result(folder / one.id, one.id) == one.result

        specs = draws(6)
        done = runner.run([*specs, specs[0]], ledger=ledger, folder=folder, on_done=on_done)
        assert list(done) == sorted(spec.id for spec in specs)
        assert sorted(heard) == list(done)
        assert {one.result["n"] for one in done.values() if one.result} == set(range(6))
        assert left(folder) == []

    def test_every_runner_gives_the_same_bytes(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        specs = [*draws(4), JobSpec(kind="planted/return", params={"what": "nan"}), JobSpec(kind="planted/exit")]
        with Ledger(tmp_path / "other.db") as other:
            inline = InlineRunner().run(specs, ledger=other, folder=tmp_path / "inline")
        assert content(runner.run(specs, ledger=ledger, folder=tmp_path / "jobs")) == content(inline)
        if isinstance(runner, ProcessRunner):  # the number of workers neither
            with Ledger(tmp_path / "one.db") as fresh:
                assert content(ProcessRunner(1).run(specs, ledger=fresh, folder=tmp_path / "one")) == content(inline)

    def test_nothing_is_run_twice(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        log, folder = tmp_path / "log", tmp_path / "jobs"
        specs = draws(3, log=str(log))
        first = runner.run(specs[:2], ledger=ledger, folder=folder)
        second = runner.run(specs, ledger=ledger, folder=folder)
        assert sorted(log.read_text().split()) == sorted(spec.id for spec in specs)
        assert content({name: second[name] for name in first}) == content(first)

    def test_what_raised_is_a_failed_row_and_is_not_tried_again(
        self, runner: Runner, ledger: Ledger, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        bad = JobSpec(kind="planted/raise", params={"log": str(log)})
        for _ in range(2):
            done = runner.run([bad, *draws(1)], ledger=ledger, folder=tmp_path / "jobs")
            assert done[bad.id].status == "failed"
            assert done[bad.id].error == "ValueError: no such market"
            assert done[bad.id].result is None
            assert done[draws(1)[0].id].status == "ok"
        assert log.read_text() == "raised\n"
        assert ledger.jobs.rows()[bad.id].state == "failed"
        assert left(tmp_path / "jobs") == []

    @pytest.mark.parametrize(("what", "error"), [("nan", "nan"), ("list", "dict"), ("reserved", "result.json")])
    def test_a_result_that_is_none_is_a_failure(
        self, runner: Runner, ledger: Ledger, tmp_path: Path, what: str, error: str
    ) -> None:
        bad = JobSpec(kind="planted/return", params={"what": what})
        done = runner.run([bad], ledger=ledger, folder=tmp_path / "jobs")[bad.id]
        assert done.status == "failed"
        assert error in str(done.error)

    def test_a_job_sees_json_and_changes_nothing_of_ours(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        spec = JobSpec(kind="planted/mutate", params={"pair": ("a", "b")})
        name = spec.id
        done = runner.run([spec], ledger=ledger, folder=tmp_path / "jobs")[name]
        assert done.result == {"pair": ["a", "b", "changed"], "type": "list"}
        assert spec.id == name

    def test_inputs_are_found_by_hash_and_checked(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        folder = tmp_path / "jobs"
        (tmp_path / "a.csv").write_text("candles")
        digest = add_input(folder, tmp_path / "a.csv")
        assert add_input(folder, tmp_path / "a.csv") == digest == hashlib.sha256(b"candles").hexdigest()
        specs = [JobSpec(kind="planted/input", inputs={"candles": digest}, seed=seed) for seed in (0, 1)]
        assert runner.run(specs[:1], ledger=ledger, folder=folder)[specs[0].id].result == {"text": "candles"}
        (folder / "inputs" / digest).write_text("other candles")
        assert "changed file" in str(runner.run(specs, ledger=ledger, folder=folder)[specs[1].id].error)
        (folder / "inputs" / digest).unlink()
        absent = JobSpec(kind="planted/input", inputs={"candles": digest}, seed=2)
        assert "no such file" in str(runner.run([absent], ledger=ledger, folder=folder)[absent.id].error)

    @pytest.mark.parametrize("damage", ["flip", "side", "cut", "swap", "gone", "other"])
    def test_a_damaged_result_is_set_aside_and_made_again(
        self, runner: Runner, ledger: Ledger, tmp_path: Path, damage: str
    ) -> None:
        folder, log = tmp_path / "jobs", tmp_path / "log"
        specs = draws(2, log=str(log))
        good = content(runner.run(specs, ledger=ledger, folder=folder))
        a, b = (folder / spec.id for spec in specs)
        text = (a / "result.json").read_text()
        if damage == "flip":
            (a / "result.json").write_text(text.replace('"n": 0', '"n": 1'))
        elif damage == "side":
            (a / "deep/draws.txt").write_text("[]")
        elif damage == "cut":
            (a / "result.json").write_text(text[:-20])
        elif damage == "swap":
            shutil.copy(b / "result.json", a / "result.json")
        elif damage == "gone":
            shutil.rmtree(a)
        else:  # whole by its own hash, but not what the ledger has on record
            (a / "result.json").write_text(text.rstrip("\n"))
        assert content(runner.run(specs, ledger=ledger, folder=folder)) == good
        assert log.read_text().split().count(specs[0].id) == 2
        assert log.read_text().split().count(specs[1].id) == 1
        assert left(folder) == ([] if damage == "gone" else [f"bad-{specs[0].id}"])

    def test_a_result_without_its_row_is_taken_as_it_is(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        folder, log = tmp_path / "jobs", tmp_path / "log"
        specs = draws(1, log=str(log))
        good = content(runner.run(specs, ledger=ledger, folder=folder))
        with Ledger(tmp_path / "fresh.db") as fresh:  # as if killed between the rename and the row
            assert content(runner.run(specs, ledger=fresh, folder=folder)) == good
            assert fresh.jobs.rows()[specs[0].id].state == "done"
        assert len(log.read_text().split()) == 1

    @pytest.mark.parametrize("damage", ["flip", "swap"])
    def test_a_result_without_its_row_is_not_taken_on_trust(
        self, runner: Runner, ledger: Ledger, tmp_path: Path, damage: str
    ) -> None:
        folder = tmp_path / "jobs"
        specs = draws(2)
        good = content(runner.run(specs, ledger=ledger, folder=folder))
        a, b = (folder / spec.id for spec in specs)
        if damage == "flip":
            (a / "result.json").write_text((a / "result.json").read_text().replace('"n": 0', '"n": 1'))
        else:
            shutil.rmtree(a)
            shutil.copytree(b, a)
        with Ledger(tmp_path / "fresh.db") as fresh:
            assert content(runner.run(specs, ledger=fresh, folder=folder)) == good

    def test_two_runs_in_one_folder_are_refused(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        with atomic.exclusive(tmp_path / "jobs"), pytest.raises(FolderError, match="another process"):
            runner.run(draws(1), ledger=ledger, folder=tmp_path / "jobs")

    def test_an_unknown_kind_is_found_before_any_work(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        with pytest.raises(ConfigError, match="id you mean 'planted/draw'"):
            runner.run([*draws(1), JobSpec(kind="planted/drew")], ledger=ledger, folder=tmp_path / "jobs")
        assert ledger.jobs.rows() == {}

    def test_threads_are_those_of_the_job(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        specs = [JobSpec(kind="planted/threads", threads=n, seed=i) for i, n in enumerate((1, 2, 3, 1))]
        done = runner.run(specs, ledger=ledger, folder=tmp_path / "jobs")
        assert [done[s.id].result for s in specs] == [{"threads": n} for n in (1, 2, 3, 1)]

    def test_no_jobs_is_no_trouble(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        assert runner.run([], ledger=ledger, folder=tmp_path / "jobs") == {}

    def test_a_run_killed_at_every_step_goes_on_to_the_same_end(
        self, runner: Runner, ledger: Ledger, tmp_path: Path
    ) -> None:
        specs = draws(3)
        good = content(runner.run(specs, ledger=ledger, folder=tmp_path / "jobs"))
        script = COORDINATOR.format(runner=_source(runner))
        begun = 0
        for k in (4,) if isinstance(runner, ProcessRunner) else (7, 10, 11, 12):
            argv = [sys.executable, "-c", script, str(tmp_path / f"k{k}"), str(k)]
            killed = subprocess.run(argv, env=_environment(), capture_output=True, text=True, check=False)
            assert killed.returncode == -signal.SIGKILL, killed.stderr
            begun += (tmp_path / f"k{k}/jobs").exists()
            with Ledger(tmp_path / f"k{k}/ledger.db") as resumed:
                assert content(runner.run(specs, ledger=resumed, folder=tmp_path / f"k{k}/jobs")) == good
            assert left(tmp_path / f"k{k}/jobs") == []
        assert begun


COORDINATOR = """
import os, signal, sys
from pathlib import Path
from trials import planted_jobs
from tradenas import atomic
from tradenas.trials.jobs import JobSpec
from tradenas.trials.ledger import Ledger
from tradenas.trials.runner import InlineRunner, ProcessRunner
folder, k, calls = Path(sys.argv[1]), int(sys.argv[2]), iter(range(999))
def die(step, path):
    if next(calls) == k:
        os.kill(os.getpid(), signal.SIGKILL)
specs = [JobSpec(kind="planted/draw", params={{"n": i}}, seed=i) for i in range(3)]
with Ledger(folder / "ledger.db") as ledger, atomic.observed(die):
    {runner}.run(specs, ledger=ledger, folder=folder / "jobs")
"""


def _source(runner: Runner) -> str:
    return f"ProcessRunner({runner.workers})" if isinstance(runner, ProcessRunner) else "InlineRunner()"


def _environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def gone(pids: list[int], within_s: float = 5.0) -> bool:
    until = time.monotonic() + within_s
    while any(alive(pid) for pid in pids) and time.monotonic() < until:
        time.sleep(0.02)
    return not any(alive(pid) for pid in pids)


@pytest.mark.parametrize("runner", [InlineRunner(), ProcessRunner(1)], ids=["inline", "one"])
@pytest.mark.parametrize("where", ["torch", "blas"])
def test_libraries_keep_to_the_threads_of_the_job(runner: Runner, ledger: Ledger, tmp_path: Path, where: str) -> None:
    import torch

    before = torch.get_num_threads()
    spec = JobSpec(kind="planted/threads", params={"where": where}, threads=before + 1 if where == "torch" else 1)
    done = runner.run([spec], ledger=ledger, folder=tmp_path / "jobs")
    assert done[spec.id].result == {"threads": spec.threads}
    assert torch.get_num_threads() == before


def test_torch_does_so_without_threadpoolctl(ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    before = torch.get_num_threads()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    spec = JobSpec(kind="planted/threads", params={"where": "torch"}, threads=before + 1)
    done = InlineRunner().run([spec], ledger=ledger, folder=tmp_path / "jobs")
    assert done[spec.id].result == {"threads": before + 1}
    assert torch.get_num_threads() == before


class TestProcesses:
    @pytest.mark.parametrize("how", ["kill", "segv", "stop", "hang"])
    def test_a_job_that_dies_twice_is_well_the_third_time(self, ledger: Ledger, tmp_path: Path, how: str) -> None:
        spec = JobSpec(kind="planted/die", params={"log": str(tmp_path / "log"), "times": 2, "how": how})
        runner = ProcessRunner(1, silence_s=0.8, timeout_s=0.5 if how == "hang" else None)
        done = runner.run([spec], ledger=ledger, folder=tmp_path / "jobs")[spec.id]
        assert (done.status, done.result, done.tries) == ("ok", {"well": True}, 3)

    def test_a_poison_job_is_parked_after_three_tries_and_the_rest_is_done(
        self, ledger: Ledger, tmp_path: Path
    ) -> None:
        log = tmp_path / "log"
        spec = JobSpec(kind="planted/die", params={"log": str(log), "times": 4, "how": "kill"})
        done = ProcessRunner(2).run([spec, *draws(5)], ledger=ledger, folder=tmp_path / "jobs")
        assert done[spec.id].status == "failed"
        assert "given up after 3 tries" in str(done[spec.id].error)
        assert "SIGKILL: last words" in str(done[spec.id].error)
        assert sum(one.status == "ok" for one in done.values()) == 5
        assert log.read_text() == "begun\n" * 3
        assert ledger.jobs.rows()[spec.id].state == "parked"
        assert left(tmp_path / "jobs") == []
        again = ProcessRunner(1).run([spec], ledger=ledger, folder=tmp_path / "jobs")[spec.id]
        assert (again.status, again.tries) == ("ok", 5)  # the machine may have been to blame: a later run tries anew

    def test_sixty_jobs_under_random_kills_of_workers(self, ledger: Ledger, tmp_path: Path) -> None:
        log = tmp_path / "log"
        specs = draws(60, sleep=0.01, log=str(log))
        with Ledger(tmp_path / "other.db") as other:
            inline = InlineRunner().run(specs, ledger=other, folder=tmp_path / "inline")
        log.unlink()
        chance, kills, timers = random.Random(1), [], []
        runner = ProcessRunner(2, max_tries=6)

        def kill() -> None:
            if pids := runner.pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(chance.choice(pids), signal.SIGKILL)
                    kills.append(1)

        def on_done(one: JobDone) -> None:  # kills follow the work, so that a slow machine sees as many
            if chance.random() < 0.3:
                timers.append(threading.Timer(chance.uniform(0, 0.03), kill))
                timers[-1].start()

        try:
            done = runner.run(specs, ledger=ledger, folder=tmp_path / "jobs", on_done=on_done)
        finally:
            for timer in timers:
                timer.cancel()
                timer.join()
        assert len(kills) >= 6
        assert content(done) == content(inline)
        assert all(row.state == "done" for row in ledger.jobs.rows().values())
        tries = sum(row.tries for row in ledger.jobs.rows().values())
        assert 60 <= tries <= 60 + len(kills)
        assert left(tmp_path / "jobs") == []

    def test_a_process_is_born_with_the_threads_of_its_jobs(self, ledger: Ledger, tmp_path: Path) -> None:
        specs = [
            JobSpec(kind="planted/threads", params={"where": "birth"}, threads=n, seed=i)
            for i, n in enumerate((1, 2, 3, 1))
        ]
        done = ProcessRunner(2).run(specs, ledger=ledger, folder=tmp_path / "jobs")
        assert [done[s.id].result for s in specs] == [{"threads": n} for n in (1, 2, 3, 1)]

    def test_what_a_job_prints_is_no_message(self, ledger: Ledger, tmp_path: Path) -> None:
        specs = [JobSpec(kind="planted/print", seed=seed) for seed in (0, 1)]
        done = ProcessRunner(1).run(specs, ledger=ledger, folder=tmp_path / "jobs")
        assert [one.result for one in done.values()] == [{"stdin": ""}] * 2

    def test_a_worker_serves_many_jobs_and_two_work_at_once(self, ledger: Ledger, tmp_path: Path) -> None:
        specs = [JobSpec(kind="planted/pid", seed=seed) for seed in range(40)]
        done = ProcessRunner(2).run(specs, ledger=ledger, folder=tmp_path / "jobs")
        pids = {one.result["pid"] for one in done.values() if one.result}
        assert len(pids) == 2
        assert os.getpid() not in pids
        assert gone(list(pids))

    def test_ctrl_c_leaves_no_orphan(self, ledger: Ledger, tmp_path: Path) -> None:
        log = tmp_path / "log"
        spec = JobSpec(kind="planted/child", params={"log": str(log)})
        main = threading.main_thread().ident
        assert main is not None

        def interrupt() -> None:
            _wait_for(log)
            signal.pthread_kill(main, signal.SIGINT)

        thread = threading.Thread(target=interrupt)
        thread.start()
        with pytest.raises(KeyboardInterrupt):
            ProcessRunner(1).run([spec], ledger=ledger, folder=tmp_path / "jobs")
        thread.join()
        assert gone([int(pid) for pid in log.read_text().split()])

    def test_a_killed_supervisor_leaves_no_worker(self, tmp_path: Path) -> None:
        log = tmp_path / "log"
        script = (
            "import sys; from pathlib import Path; from trials import planted_jobs\n"
            "from tradenas.trials.jobs import JobSpec; from tradenas.trials.ledger import Ledger\n"
            "from tradenas.trials.runner import ProcessRunner\n"
            "folder = Path(sys.argv[1]); spec = JobSpec(kind='planted/child', params={'log': str(folder / 'log')})\n"
            "with Ledger(folder / 'l.db') as ledger: ProcessRunner(1).run([spec], ledger=ledger, folder=folder / 'j')\n"
        )
        supervisor = subprocess.Popen([sys.executable, "-c", script, str(tmp_path)], env=_environment())
        worker, sleeper = (int(pid) for pid in _wait_for(log).split())
        supervisor.kill()
        supervisor.wait()
        try:
            assert gone([worker])
        finally:
            os.kill(sleeper, signal.SIGKILL)  # a process of the job's own, out of reach once everybody is dead

    def test_workers_that_cannot_start_are_an_error_not_a_loop(
        self, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", shutil.which("false"))
        with pytest.raises(TradenasError, match=r"do not start.*exit code 1"):
            ProcessRunner(2).run(draws(2), ledger=ledger, folder=tmp_path / "jobs")

    def test_a_function_no_worker_can_import_is_refused(
        self, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(planted_jobs.draw, "__module__", "__main__")
        assert JOBS["planted/draw"].__module__ == "__main__"
        with pytest.raises(ConfigError, match="InlineRunner"):
            ProcessRunner(1).run(draws(1), ledger=ledger, folder=tmp_path / "jobs")

    def test_a_module_that_does_not_import_in_the_worker_is_a_failed_job(
        self, ledger: Ledger, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(planted_jobs.draw, "__module__", "trials.no_such_module")
        (done,) = ProcessRunner(1).run(draws(1), ledger=ledger, folder=tmp_path / "jobs").values()
        assert "ModuleNotFoundError" in str(done.error)

    @pytest.mark.parametrize("bad", [{"workers": 0}, {"workers": 1, "max_tries": 0}, {"workers": 1, "timeout_s": 0.0}])
    def test_settings_are_checked(self, bad: dict[str, float]) -> None:
        with pytest.raises(ConfigError):
            ProcessRunner(**bad)  # type: ignore[arg-type]


def _wait_for(log: Path) -> str:
    until = time.monotonic() + 20
    while not (log.exists() and log.read_text().endswith("\n")):
        assert time.monotonic() < until
        time.sleep(0.01)
    return log.read_text()


def test_the_name_of_a_job_is_its_content() -> None:
    spec = JobSpec(kind="k", params={"b": (1, 2), "a": 0.1}, inputs={"x": "00"}, seed=3, threads=2)
    assert spec.id == JobSpec(kind="k", params={"a": 0.1, "b": [1, 2]}, inputs={"x": "00"}, seed=3, threads=2).id
    assert JobSpec.from_json(spec.to_json()) == spec
    names = {spec.id}
    for change in ({"kind": "l"}, {"params": {}}, {"inputs": {}}, {"seed": 4}, {"threads": 1}):
        names.add(JobSpec(**{**_fields(spec), **change}).id)  # type: ignore[arg-type]
    assert len(names) == 6
    with pytest.raises(ConfigError):
        JobSpec(kind="k", params={"x": float("nan")})
    with pytest.raises(ConfigError):
        JobSpec(kind="k", threads=0)


def _fields(spec: JobSpec) -> dict[str, object]:
    return {name: getattr(spec, name) for name in ("kind", "params", "inputs", "seed", "threads")}
