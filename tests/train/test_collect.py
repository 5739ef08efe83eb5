"""mlagent_train.collect: what is planned, what is written, how it stops."""

import json

import pytest
from rich.console import Console

from mlagent_gym import Record, State, StatePool, append_record
from mlagent_train import collect as stage
from mlagent_train.config import load_config
from mlagent_train.errors import BudgetError, ConfigError, StageError
from mlagent_train.files import read_jsonl, write_json
from mlagent_train.run import open_run
from mlagent_train.trajectories import pooled_states

TASK = "house-price"
BASE = [f'tasks.held_in=["{TASK}"]', "collect.trajectories_per_task=3"]


@pytest.fixture
def run_of(tmp_path):
    def make(*overrides):
        return open_run(load_config("cpu-tiny", [*BASE, *overrides]), tmp_path / "run")

    return make


def step(episode, number, reply, outcome, action="Edit Script", tokens=0):
    state = State(TASK, "synthetic", "f", 7, {"train.py": f"{number}" * 64}, step=number)
    return Record(
        episode=episode,
        env={"id": f"MLAgent/{TASK}-v0", "kwargs": {}},
        state=state,
        prompt=f"{number}",
        messages=[{"role": "user", "content": f"State {number}."}],
        reply=reply,
        action={"name": action},
        reward=0.5,
        terminated=action == "Final Answer",
        truncated=False,
        info={"outcome": outcome, "valid": outcome != "invalid", "gain": 0.0},
        next_state=state,
        next_prompt="",
        resources={"prompt_tokens": tokens, "completion_tokens": tokens, "cost": tokens / 100},
    )


def write(run, episode, *steps):
    run.trajectories.mkdir(parents=True, exist_ok=True)
    for number, (reply, outcome, action) in enumerate(steps):
        path = run.trajectories / f"{episode}.jsonl"
        append_record(path, step(episode, number, reply, outcome, action, tokens=5))


def collected(run, monkeypatch):
    """Collect where the episodes are there already."""
    monkeypatch.setattr(stage, "run_episodes", lambda *_: None)
    console = Console(record=True, width=200)
    stage.collect(run, console)
    return console.export_text()


def test_examples_pool_and_counts_are_written(run_of, monkeypatch):
    run = run_of("collect.max_similarity=0.95")
    good = [("Deeper.", "scored", "Edit Script"), ("Done.", "non_edit", "Final Answer")]
    write(run, "a", good[0], ("No place.", "invalid", "Edit Script"), good[1])
    write(run, "b", ("Nothing that is an action", "invalid", "Invalid"))
    write(run, "c", good[0], ("No place.", "invalid", "Edit Script"), good[1])
    said = collected(run, monkeypatch)
    assert "1 near-duplicate" in said
    assert "1 a reply is no action" in said

    chats = list(read_jsonl(run.sft_data))
    assert [chat["messages"][-1] for chat in chats] == [
        {"role": "assistant", "content": "Deeper."},
        {"role": "assistant", "content": "Done."},
    ]
    assert [chat["step"] for chat in chats] == [0, 2]
    assert chats[0]["messages"][:-1] == [{"role": "user", "content": "State 0."}]

    assert len(StatePool(run.states)) == 7  # dropped trajectories' states are good to start from
    first = next(pooled_states(run.states, run.env_id))
    assert {key: first[key] for key in ("task", "env_id", "seed", "messages")} == {
        "task": TASK,
        "env_id": f"MLAgent/{TASK}-v0",
        "seed": 7,
        "messages": [{"role": "user", "content": "State 0."}],
    }
    summary = json.loads((run.folder / "collect" / "summary.json").read_text())
    assert summary["dropped"] == {"a reply is no action": 1, "near-duplicate": 1}
    assert (summary["trajectories"], summary["kept"], summary["examples"]) == (3, 1, 2)
    assert (summary["tokens"], summary["dollars"]) == (70, pytest.approx(0.35))
    assert "already there: 3 trajectories, 7 states" in collected(run, monkeypatch)


def test_an_expert_that_teaches_nothing_is_said_with_the_reasons(run_of, monkeypatch):
    run = run_of()
    write(run, "a", ("?", "invalid", "Invalid"))
    write(run, "b", ("Broken.", "failed", "Edit Script"))
    with pytest.raises(StageError, match="1 for a reply is no action, 1 for no successful edit"):
        collected(run, monkeypatch)
    assert not (run.folder / "collect" / "summary.json").exists()


def test_a_model_gets_ideas_and_more_trajectories_at_once(run_of):
    plan = stage._plan(run_of("collect.expert=openai:some-model", "workers.slots=2"))
    assert plan.at_once == 8
    assert not plan.cache  # its words are learned from, not only its actions
    assert {len(episode.hints) for episode in plan.episodes} <= {1, 2, 3}
    assert len({episode.hints for episode in plan.episodes}) > 1
    assert plan == stage._plan(run_of("collect.expert=openai:some-model", "workers.slots=2"))


def test_an_expert_that_is_a_model_gets_the_gpus_of_an_engine(run_of):
    plan = stage._plan(run_of("collect.expert=hf:m", "hardware.tensor_parallel=2"))
    assert plan.sampling.tensor_parallel == 2


def test_the_scripted_expert_draws_its_ideas_itself(run_of):
    plan = stage._plan(run_of("collect.ideas=[2, 2]", "collect.ideas_per_task=1"))
    assert all(episode.hints == () for episode in plan.episodes)
    assert plan.ideas_per_trajectory == (2, 2)
    assert len(plan.ideas.edits_of(TASK)) == 1


def test_a_cost_limit_without_prices_is_refused(run_of, monkeypatch):
    settings = ("collect.expert=openai:some-model", "collect.max_dollars=5")
    monkeypatch.delenv("MLAGENT_PRICES", raising=False)
    with pytest.raises(ConfigError, match="MLAGENT_PRICES"):
        stage._plan(run_of(*settings))
    monkeypatch.setenv("MLAGENT_PRICES", "0.15,0.6")
    assert stage._plan(run_of(*settings)).limits.dollars == 5


@pytest.mark.parametrize("cured", [False, True])
def test_an_outage_of_the_endpoint_is_not_called_a_fault_of_the_machine(cured, run_of, monkeypatch):
    run = run_of("collect.expert=openai:some-model")
    plan, rounds = stage._plan(run), []

    def run_job(job, folder, name, watch):
        rounds.append(job)
        if len(rounds) < 3 or not cured:
            write_json(plan.unanswered, {"reason": "some-model at http://x did not answer: 503."})

    monkeypatch.setattr(stage, "run_job", run_job)
    with pytest.raises(StageError) as failed:
        stage.run_episodes(run, plan, "collect", Console(quiet=True))
    assert len(rounds) == 3
    assert ("3 of 3 episodes were lost to machine faults" in str(failed.value)) is cured
    assert ("some-model at http://x did not answer: 503." in str(failed.value)) is not cured


def test_a_limit_that_is_reached_says_so_and_may_be_raised_later(run_of, monkeypatch):
    run = run_of("collect.max_tokens=100")
    plan = stage._plan(run)
    jobs = []

    def run_job(job, folder, name, watch):
        jobs.append(job)
        (run.trajectories / f"{TASK}-00000.jsonl").touch()
        write_json(plan.stopped, {"reason": "collect.max_tokens = 100 is reached: 104 used"})

    monkeypatch.setattr(stage, "run_job", run_job)
    with pytest.raises(BudgetError, match=r"104 used, 1 of 3 episodes are finished.*higher limit"):
        stage.run_episodes(run, plan, "collect", Console(quiet=True))
    assert len(jobs) == 1  # no further round
    assert run_of("collect.max_tokens=200").config.collect.max_tokens == 200
    with pytest.raises(ConfigError, match="another configuration"):
        run_of("collect.max_tokens=200", "collect.ideas_per_task=1")
