"""Jobs done together: who goes with whom, and that nothing else of a job changes by it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tradenas.errors import ConfigError
from tradenas.trials.jobs import JobDone, JobSpec
from tradenas.trials.ledger import Ledger
from tradenas.trials.runner import InlineRunner, ProcessRunner, Runner
from tradenas.trials.stacks import LEAST, stacks_of
from trials import planted_jobs
from trials.test_runner import content, left

assert planted_jobs.__name__ == "trials.planted_jobs"  # registers them


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[Ledger]:
    with Ledger(tmp_path / "ledger.db") as opened:
        yield opened


def some(num: int, log: Path | str = "", *, first: int = 0, **params: object) -> list[JobSpec]:
    params = {"shape": "a", "log": str(log), **params}
    return [JobSpec(kind="planted/stack", params=params, seed=i) for i in range(first, first + num)]


def seeds(specs: list[JobSpec], most: int = 8) -> list[list[int]]:
    by_id = {spec.id: spec.seed for spec in specs}
    return [[by_id[job] for job in stack] for stack in stacks_of(specs, most)]


class TestGrouping:
    def test_only_jobs_that_are_alike_go_together(self) -> None:
        specs = [
            *some(2), *some(2, first=2, shape="b"), *some(2, first=4, shape=None),
            JobSpec(kind="planted/stack", params={"shape": "a", "log": ""}, seed=6, threads=2),
            JobSpec(kind="planted/stack", params={"shape": "a", "log": ""}, seed=7, inputs={"dataset": "00"}),
            JobSpec(kind="planted/draw", params={"shape": "a"}, seed=8),
            *some(1, first=9),
        ]  # fmt: skip
        assert seeds(specs, 3) == [[0, 1], [9], [2, 3], [4], [5], [6], [7], [8]]  # 5 jobs stack: two at a time
        assert seeds(specs + some(8, first=20, shape="c"), 3)[0] == [0, 1, 9]

    def test_stacks_are_of_like_size_and_leave_work_for_others(self) -> None:
        assert [len(s) for s in stacks_of(some(40), 8)] == [8] * 5
        assert [len(s) for s in stacks_of(some(33), 8)] == [7, 7, 6, 7, 6]
        assert [len(s) for s in stacks_of(some(15), 8)] == [4, 4, 4, 3]
        assert len(stacks_of(some(8), 8)) == LEAST
        assert [len(s) for s in stacks_of(some(3), 8)] == [1] * 3
        assert [len(s) for s in stacks_of(some(40), 1)] == [1] * 40

    def test_those_with_much_to_do_go_together(self) -> None:
        rows = [10, 90, 11, 91, 12, 92, 13, 93]
        specs = [some(1, first=i, rows=n)[0] for i, n in enumerate(rows)]
        assert seeds(specs, 2) == [[7, 5], [3, 1], [6, 4], [2, 0]]


@pytest.mark.parametrize("runner", [InlineRunner(stack=8), ProcessRunner(2, stack=8)], ids=["inline", "process"])
class TestRunners:
    def test_each_has_its_own_name_folder_row_and_failure(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        log = tmp_path / "log"
        specs = some(8, log)
        specs[1:2] = some(1, log, first=1, bad="diverge")
        heard: list[JobDone] = []
        begun: list[tuple[str, ...]] = []
        done = runner.run(specs, ledger=ledger, folder=tmp_path / "jobs", on_done=heard.append, on_begin=begun.append)
        assert sorted(begun) == sorted(stacks_of(specs, 8))
        assert sorted(log.read_text().split("\n")) == ["", "0 1", "2 3", "4 5", "6 7"]
        assert list(done) == sorted(spec.id for spec in specs) == sorted(one.id for one in heard)
        assert done[specs[0].id].result == {"seed": 0, "with": [0, 1]}
        assert (tmp_path / "jobs" / specs[0].id / "with.txt").read_text() == "[0, 1]"
        assert (done[specs[1].id].status, done[specs[1].id].error) == ("failed", "ValueError: 1 diverged")
        assert [ledger.jobs.rows()[s.id].state for s in specs[:3]] == ["done", "failed", "done"]
        assert left(tmp_path / "jobs") == []
        again = runner.run(specs, ledger=ledger, folder=tmp_path / "jobs")
        assert content(again) == content(done)
        assert len(log.read_text().split("\n")) == 5  # nothing was done twice

    def test_results_of_earlier_runs_are_found(self, runner: Runner, ledger: Ledger, tmp_path: Path) -> None:
        """Those of a run without stacks too: a job's name says nothing of its company."""
        folder, log = tmp_path / "jobs", tmp_path / "log"
        before = InlineRunner().run(some(8, log), ledger=ledger, folder=folder)
        assert log.read_text() == "".join(f"{n}\n" for n in range(8))
        assert content(runner.run(some(8, log), ledger=ledger, folder=folder)) == content(before)
        assert log.read_text() == "".join(f"{n}\n" for n in range(8))

    @pytest.mark.parametrize("after", [1, 3])
    def test_a_run_that_ends_within_a_stack_goes_on_to_the_same_bits(
        self, runner: Runner, ledger: Ledger, tmp_path: Path, after: int
    ) -> None:
        specs, log = some(15, tmp_path / "log"), tmp_path / "log"
        with Ledger(tmp_path / "other.db") as other:
            good = content(runner.run(specs, ledger=other, folder=tmp_path / "whole" / "jobs"))
        log.unlink()
        heard = []

        def on_done(one: JobDone) -> None:
            heard.append(one.id)
            if len(heard) == after:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            runner.run(specs, ledger=ledger, folder=tmp_path / "jobs", on_done=on_done)
        kept = {job: (tmp_path / "jobs" / job / "result.json").stat().st_mtime_ns for job in heard}
        assert content(runner.run(specs, ledger=ledger, folder=tmp_path / "jobs")) == good
        assert {job: (tmp_path / "jobs" / job / "result.json").stat().st_mtime_ns for job in heard} == kept
        assert ledger.jobs.rows()[heard[0]].tries == 1

    def test_what_cannot_be_done_together_is_done_one_by_one(
        self, runner: Runner, ledger: Ledger, tmp_path: Path
    ) -> None:
        specs = some(8, tmp_path / "log")
        specs[1:2] = some(1, tmp_path / "log", first=1, bad="refuse")
        done = runner.run(specs, ledger=ledger, folder=tmp_path / "jobs")
        assert done[specs[0].id].result == {"seed": 0, "with": [0]}
        assert done[specs[1].id].error == "ValueError: not with me"
        assert done[specs[2].id].result == {"seed": 2, "with": [2, 3]}

    def test_a_damaged_result_is_made_again_with_the_same_company(
        self, runner: Runner, ledger: Ledger, tmp_path: Path
    ) -> None:
        specs = some(8, tmp_path / "log")
        good = content(runner.run(specs, ledger=ledger, folder=tmp_path / "jobs"))
        (tmp_path / "jobs" / specs[3].id / "with.txt").write_text("[]")
        assert content(runner.run(specs, ledger=ledger, folder=tmp_path / "jobs")) == good
        assert (tmp_path / "log").read_text().split("\n").count("2 3") == 2


def test_a_stack_whose_process_dies_comes_apart(ledger: Ledger, tmp_path: Path) -> None:
    """So that one poisoned job takes no other with it."""
    log = tmp_path / "log"
    specs = some(8, log)
    specs[5:6] = some(1, log, first=5, bad="kill")
    done = ProcessRunner(2, stack=8, max_tries=2).run(specs, ledger=ledger, folder=tmp_path / "jobs")
    assert done[specs[4].id].result == {"seed": 4, "with": [4]}
    assert "given up after 2 tries" in str(done[specs[5].id].error)
    assert done[specs[6].id].result == {"seed": 6, "with": [6, 7]}
    told = log.read_text().split("\n")
    assert (told.count("4 5"), told.count("4"), told.count("5")) == (2, 1, 2)
    assert left(tmp_path / "jobs") == []


@pytest.mark.parametrize("make", [lambda: InlineRunner(stack=0), lambda: ProcessRunner(1, stack=0)])
def test_settings_are_checked(make: object) -> None:
    with pytest.raises(ConfigError, match="stack"):
        make()  # type: ignore[operator]
