"""Trajectories are run to their end, once, whatever comes between; what failed has no score."""

import asyncio
import itertools
import json

import pytest

from benchmarks.results import open_results, trajectory_path
from benchmarks.workers import Room
from mlagent_gym import read_records
from mlagent_train.agents import Reply, make_agent

pytestmark = pytest.mark.train


def table(results):
    """Return every figure that does not depend on the clock."""
    rows = [vars(row) | {"seconds": 0} for row in results.trajectories()]
    figures = results.summary()
    return rows, {name: task.relative_gain for name, task in figures.tasks.items()}


def test_every_step_is_written_with_what_it_takes_to_repeat_it(bench):
    results = bench()
    rows = list(results.trajectories())
    assert [(row.task, row.number) for row in rows] == [
        (task, number) for task in results.protocol.tasks for number in (0, 1)
    ]
    for row in rows:
        records = list(read_records(trajectory_path(results.folder, row.task, row.number)))
        assert len(records) == 5
        assert [record.info["parent"] for record in records] == [0, 1, 2, 3, 4]
        for record, after in itertools.pairwise(records):
            assert record.next_state == after.state
            assert record.next_prompt == after.prompt
        assert all(record.messages for record in records)
        assert row.best == records[-1].info["best_score"]


@pytest.mark.parametrize("scaffold", ["mlab", "tree"])
def test_a_killed_benchmark_ends_with_the_same_figures_and_repeats_no_step(
    bench, tmp_path, scaffold
):
    policy = "scripted:propose" if scaffold == "tree" else "scripted:greedy"
    whole = bench(policy, tmp_path / "whole", scaffold=scaffold)
    folder, written = tmp_path / "killed", 0
    for steps in (8, 7):
        with pytest.raises(BaseExceptionGroup):
            bench(policy, folder, scaffold=scaffold, stop_after=steps)
        paths = sorted(folder.glob("trajectories/*/*.jsonl"))
        lines = sum(len(path.read_bytes().splitlines()) for path in paths)
        assert lines > written
        written = lines
        with paths[0].open("ab") as file:
            file.write(b'{"torn')
        before = {path: path.read_bytes()[: -len(b'{"torn')] for path in paths[:1]}
    killed = bench(policy, folder, scaffold=scaffold)
    for path, content in before.items():
        assert path.read_bytes().startswith(content)
    assert table(killed) == table(whole)


def test_a_finished_benchmark_is_not_run_again(bench):
    bench()

    def fail(request):
        raise AssertionError("nothing is left to do")

    bench(fail=fail)


def test_a_step_the_machine_failed_is_reported_and_no_score(bench, tmp_path):
    def fail(request):
        late = request.state is not None and request.state["step"] == 2
        return "a worker died" if late and "house" in request.env_id else ""

    results = bench(fail=fail)
    figures = results.summary()
    assert "house-price" not in figures.tasks
    assert set(figures.failures) == {"house-price/00", "house-price/01"}
    assert "a worker died" in figures.failures["house-price/00"]
    assert figures.splits["held-in and held-out"].failed == 2
    assert figures.tasks["detecting-insults-in-social-commentary"].trajectories == 2

    again = bench()  # what is tried again goes on after the last step
    assert not again.summary().failures
    assert table(again) == table(bench(folder=tmp_path / "whole"))


class Moody:
    """Answers as the greedy policy does until an endpoint is gone."""

    def __init__(self, replies):
        self._inner = make_agent("scripted:greedy")
        self._left = replies

    async def act(self, turn):
        self._left -= 1
        if self._left < 0:
            raise ConnectionError("no endpoint")
        reply = await self._inner.act(turn)
        return Reply(reply.text, 100, 10, 0.5)


def test_an_endpoint_that_is_gone_is_a_failure_and_no_bad_score(bench):
    results = bench("my:endpoint", agent=Moody(7))
    figures = results.summary()
    assert not figures.tasks
    assert set(figures.failures.values()) == {
        "the policy gave no reply: ConnectionError: no endpoint"
    }
    done = bench("my:endpoint", agent=Moody(100)).summary()
    assert not done.failures
    assert sum(task.tokens for task in done.tasks.values()) == 110 * 2 * 2 * 5
    assert sum(task.cost for task in done.tasks.values()) == 0.5 * 2 * 2 * 5


def test_a_benchmark_under_way_counts_only_what_is_finished(bench, tmp_path):
    with pytest.raises(BaseExceptionGroup):
        bench(stop_after=17)
    results = open_results(tmp_path / "bench")
    unfinished = [name for name, why in results.failures().items() if "not finished" in why]
    assert len(unfinished) + len(list(results.trajectories())) == 4
    assert unfinished


def test_the_tree_goes_back_to_the_start_and_to_the_best(bench):
    results = bench("scripted:propose", scaffold="tree", max_steps=6)
    for row in results.trajectories():
        records = results.records(row.task, row.number)
        parents = [record.info["parent"] for record in records]
        assert parents[:3] == [0, 0, 0]
        assert max(parents[3:]) > 0
        assert row.best == min(
            [records[0].info["initial_score"], *(s for s in row.scores if s is not None)],
            key=lambda score: -score if row.higher_is_better else score,
        )


def test_slots_and_memory_are_not_exceeded():
    now, most, memory, most_memory = 0, 0, 0, 0

    async def step(room, wanted):
        nonlocal now, most, memory, most_memory
        async with room.place(wanted):
            now, memory = now + 1, memory + min(wanted, 10)
            most, most_memory = max(most, now), max(most_memory, memory)
            await asyncio.sleep(0.001)
            now, memory = now - 1, memory - min(wanted, 10)

    async def run():
        room = Room(3, 10)
        await asyncio.gather(*(step(room, wanted) for wanted in (4, 4, 4, 99, 1, 1, 1, 6, 5)))

    asyncio.run(run())
    assert most <= 3
    assert most_memory <= 10
    assert now == memory == 0


def test_the_summary_is_plain_json_and_says_how_it_was_made(bench):
    from benchmarks.report import write_report

    results = bench()
    write_report(results, results.summary())
    values = json.loads((results.folder / "summary.json").read_text())
    assert values["surroundings"]["command"] == "python -m benchmarks.held_out scripted:greedy"
    assert set(values["fingerprints"]) == set(results.protocol.tasks)
    assert {"revision", "processor", "packages", "cores"} <= set(values["surroundings"])
