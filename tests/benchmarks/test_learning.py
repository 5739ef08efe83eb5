"""The learning benchmark's own parts: knobs, ideas, renaming, probe, figures, page."""

from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import typer
from rich.console import Console
from typer.testing import CliRunner

from benchmarks.learning import measures
from benchmarks.learning.__main__ import main
from benchmarks.learning.base import exercises
from benchmarks.learning.corpus import write_exercises, write_warm_start
from benchmarks.learning.figures import interval
from benchmarks.learning.ideas import diverse
from benchmarks.learning.knobs import Knob, find_knobs, shown_knobs
from benchmarks.learning.plan import (
    ARMS,
    FULL,
    QUICK,
    QUICK_ARMS,
    arm_config,
    base_config,
    expert_config,
)
from benchmarks.learning.probe import edits_of, fits, judge
from benchmarks.learning.renaming import pointed, renamed
from benchmarks.learning.report import render_page, together, write_report
from benchmarks.learning.stages import Bench, works
from benchmarks.learning.tables import TABLES
from mlagent_gym import ConfigError, load_task, render, task_ids
from mlagent_gym.prompts import View, load_template, render_messages, render_text
from mlagent_train.files import read_json, read_jsonl, write_json, write_jsonl
from mlagent_train.run import Run

HELD_IN = [task for task in task_ids() if load_task(task).split == "held-in"]
PROMPT = (
    "Task: Houses\nmae, lower is better\nKnobs:\n- 5 1) DEPTH\n- False 2) LOG_TARGET\n"
    '- 0.5 3) C\n- "forest" 4) MODEL\nSteps:\n1. DEPTH = 4 -> DEPTH = 5: MAE: 3\nNext?'
)


def edit(search: str, replace: str, thought: str = "Change it.") -> str:
    edits = [{"search": search, "replace": replace}]
    return render("Edit Script", {"script_name": "train.py", "edits": edits}, thought=thought)


def state(prompt: str, task: str = "a") -> dict[str, Any]:
    return {"task": task, "messages": [{"role": "user", "content": prompt}]}


def _thought(reply: str) -> str:
    return reply.partition("Thought: ")[2].partition("\n")[0]


def test_knobs_are_the_constants_of_a_script():
    script = "import os\nSEED = 0\nDEPTH = 5\nROWS = 1000  # many\nx = 3\n    INNER = 4\n"
    assert find_knobs(script) == [Knob("DEPTH", "5"), Knob("ROWS", "1000")]


def _first_prompt(task: str) -> str:
    """Return the prompt of a task's starter, as these experiments write it."""
    script = load_task(task).starter_files()["train.py"].decode()
    view = View(task, "", "mae", False, "", "", script, [], 3, 60.0)
    return render_text(render_messages(load_template(base_config().env.prompt), view))


@pytest.mark.parametrize("task", HELD_IN)
def test_every_idea_edits_a_knob_of_the_starter_once(task: str):
    script = load_task(task).starter_files()["train.py"].decode()
    ideas = diverse(task)
    prompt = _first_prompt(task)
    assert len(ideas) > 9
    assert len({idea.name for idea in ideas}) == len(ideas)
    for idea in ideas:
        (change,) = idea.edits
        assert script.count(change.search) == 1
        assert change.search != change.replace
        assert "SEED" not in change.replace
        reply = pointed(edit(change.search, change.replace, idea.idea), shown_knobs(prompt))
        assert f"\n- {_thought(reply)}\n" in prompt
        compile(script.replace(change.search, change.replace), "train.py", "exec")


@pytest.mark.parametrize("seed", range(30))
def test_a_renamed_step_still_fits_its_prompt(seed: int):
    reply = edit("DEPTH = ", "DEPTH = 2 * ")
    row = {**state(PROMPT), "reply": reply, "info": {"valid": True}}
    others = [Knob("WIDTH", "32"), Knob("FLIP", "False"), *(Knob(f"K{i}", "0.1") for i in range(8))]
    out = renamed(row, ["forest", "image", "rate", "mean"], others, random.Random(seed))
    prompt = out["messages"][-1]["content"]
    assert fits(out["reply"], prompt), (prompt, out["reply"])
    ((search, _),) = edits_of(out["reply"]) or ()
    assert search in prompt.partition("Steps:")[2]  # the history was renamed with it
    assert f"\n- {_thought(out['reply'])}\n" in prompt.partition("Steps:")[0]
    assert prompt.endswith("\nNext?")


def test_every_exercise_edits_knobs_that_its_prompt_shows():
    known = [Knob("DEPTH", "5"), Knob("FLIP", "False"), Knob("MODEL", '"forest"')]
    chats = list(exercises(["forest", "image", "rate", "mean"], known, 50, seed=0))
    assert len(chats) == 50
    for prompt, reply in chats:
        lines = reply["content"].splitlines()
        named, edits = lines[::2], [json.loads(line) for line in lines[1::2]]
        assert 4 <= len(edits) <= 8
        for name, one in zip(named, edits, strict=True):
            assert f"\n{name}\n" in prompt["content"]
            assert f"{name.rpartition(' ')[2]} = " == one["search"]
            assert fits(edit(one["search"], one["replace"]), prompt["content"])
    assert chats == list(exercises(["forest", "image", "rate", "mean"], known, 50, seed=0))


def _write_steps(folder: Path, *replies: str) -> None:
    """Write one trajectory of an expert."""
    steps = [
        {
            "state": {"task": "spaceship-titanic", "seed": 0},
            "env": {"id": "any"},
            "messages": [{"role": "user", "content": PROMPT}],
            "reply": reply,
            "info": {"valid": True},
        }
        for reply in replies
    ]
    folder.mkdir()
    write_jsonl(folder / "a.jsonl", steps)


def test_the_warm_start_shows_edits_and_the_base_model_no_action(tmp_path: Path):
    undo = render("Undo Edit Script", {"script_name": "a"})
    _write_steps(tmp_path / "expert", edit("DEPTH = ", "DEPTH = 2 * "), undo)
    run = Run(base_config(), tmp_path / "run")
    write_warm_start(run, tmp_path / "expert", 30)
    chats = [row["messages"] for row in read_jsonl(run.sft_data)]
    assert len(chats) == 30
    assert all(fits(reply["content"], prompt["content"]) for prompt, reply in chats)
    for prompt, reply in chats:
        assert f"\n- {_thought(reply['content'])}\n" in prompt["content"]
    assert len({prompt["content"] for prompt, _ in chats}) > 10

    base = Run(base_config(), tmp_path / "base")
    write_exercises(base, tmp_path / "expert", 30)
    exercises_read = [row["messages"] for row in read_jsonl(base.sft_data)]
    assert len(exercises_read) == 30
    assert not any("Action" in reply["content"] for _, reply in exercises_read)
    corpus = (base.trajectories / "steps.jsonl").read_text()
    assert "Undo Edit Script" in corpus
    assert json.dumps(exercises_read[0][1]["content"]) in corpus


def test_a_warm_start_on_one_idea_shows_another_one_with_each_seed(tmp_path: Path):
    changes = [f"{factor} *" for factor in (2, 4, 8, 16)]
    replies = [edit("DEPTH = ", f"DEPTH = {change} ") for change in changes]
    _write_steps(tmp_path / "expert", *replies, *replies)
    shown = []
    for seed in range(8):
        run = Run(replace(base_config(), seed=seed), tmp_path / f"run{seed}")
        write_warm_start(run, tmp_path / "expert", 12, ideas=1)
        answers = [row["messages"][-1]["content"] for row in read_jsonl(run.sft_data)]
        (only,) = {change for change in changes for text in answers if f"= {change}" in text}
        shown.append(only)
    assert len(set(shown)) > 1


def test_the_steps_of_a_chat_stand_each_for_themselves(tmp_path: Path):
    _write_steps(tmp_path / "expert", edit("DEPTH = ", "DEPTH = 2 * "))
    run = Run(arm_config(ARMS["episode"], 0, QUICK, tmp_path / "none"), tmp_path / "run")
    write_warm_start(run, tmp_path / "expert", 40, turns=4)
    chats = [row["messages"] for row in read_jsonl(run.sft_data)]
    assert len(chats) == 40
    assert {len(chat) // 2 for chat in chats} == {1, 2, 3, 4}
    for chat in chats:
        for prompt, reply in zip(chat[::2], chat[1::2], strict=True):
            assert fits(reply["content"], prompt["content"])


def test_renaming_makes_many_names_and_keeps_some():
    row = {**state(PROMPT), "reply": edit("LOG_TARGET = ", "LOG_TARGET = not ")}
    rng = random.Random(0)
    others = [Knob(f"K{i}", "0.1") for i in range(8)]
    replies = [
        renamed(row, ["forest", "image", "rate", "mean"], others, rng)["reply"] for _ in range(100)
    ]
    assert 10 < len(set(replies)) < 60
    assert all(" = not " in reply for reply in replies)


@pytest.mark.parametrize(
    ("reply", "expected"),
    [
        (edit("DEPTH = 5", "DEPTH = 6"), True),
        (edit("C = ", "C = 3 * "), True),
        (edit("DEPTH = 4", "DEPTH = 6"), False),  # only in the history
        (edit("DEPTH = 5", "DEPTH = 5"), False),
        (edit(" = ", " == "), False),  # not once
        (render("Undo Edit Script", {"script_name": "train.py"}), False),
        ("anything", False),
    ],
)
def test_an_edit_fits_when_it_changes_a_shown_knob(reply: str, expected: bool):
    assert fits(reply, PROMPT) is expected


def test_a_policy_that_reads_is_told_from_one_that_remembers():
    states = [state(PROMPT.replace("DEPTH", f"D{i}"), "ab"[i % 2]) for i in range(10, 20)]
    reads = [[edit(f"D{i} = ", f"D{i} = 2 * ")] for i in range(10, 20)]
    remembers = [[edit("C = ", "C = 3 * ")]] * 10
    assert judge(states, reads, 0)["fits"] == 1.0
    assert judge(states, reads, 0)["fits_other_task"] == 0.0
    assert judge(states, remembers, 0)["fits_other_task"] == 1.0
    assert judge(states, remembers, 0)["distinct_edits"] == 1


def test_intervals_are_students():
    mean, low, high = interval([0.1, 0.2, 0.3])
    assert mean == pytest.approx(0.2)
    assert (low, high) == (pytest.approx(0.2 - 0.2484, abs=1e-3), pytest.approx(0.4484, abs=1e-3))
    assert interval([0.1])[1] == float("-inf")


def test_edits_that_touch_no_model_are_listed():
    rows = [
        {"reward": 1.0, "reply": edit("SEED = 0", "SEED = 1"), "info": {"task": "a", "gain": 0.1}},
        {"reward": 1.0, "reply": edit("C = 1", "C = 2"), "info": {"task": "a", "gain": 0.1}},
        {"reward": 0.0, "reply": edit("SEED = 0", "SEED = 2"), "info": {"task": "a", "gain": -0.1}},
        {"reward": None, "reply": edit("SEED = 0", "SEED = 3"), "info": None},
    ]
    found = measures.suspicious_edits([("x", rows)])
    assert [(row["task"], row["edit"]) for row in found] == [("a", "SEED = 0 -> SEED = 1")]


@pytest.mark.parametrize(
    ("reply", "kind"),
    [
        (edit("C = ", "C = 4 * "), "made larger"),
        (edit("C = ", "C = 0.1 * "), "made smaller"),
        (edit("CLIP = ", "CLIP = not "), "turned over"),
        (edit("MODEL = ", 'MODEL = "forest" or '), "another value"),
        (edit("C = 1", "C = 2"), "another value"),
        ("nonsense", "no edit"),
    ],
)
def test_a_change_is_named_by_what_it_puts_before_a_value(reply: str, kind: str):
    assert measures.change_of(reply) == kind


def rollout(update: int, process: str, reward: float | None = 0.5, turn: int = 0) -> dict[str, Any]:
    return {
        "purpose": "train",
        "update": update,
        "process": process,
        "task": "a",
        "turn": turn,
        "reply": edit("C = 1", "C = 2"),
        "reward": reward,
        "env_s": 2.0,
        "info": None if reward is None else {"valid": reward > 0, "step": 1 + turn, "gain": 0.0},
    }


@pytest.fixture
def trained(tmp_path: Path):
    """Write the files of a training of three updates and return its run."""

    def write(*rows: dict[str, Any]) -> Run:
        (tmp_path / "ppo").mkdir()
        write_jsonl(tmp_path / "ppo" / "rollouts.jsonl", rows)
        figures = {"timing/step_total": 10.0, "critic_loss": 0.1, "critic/explained_variance": 0.3}
        write_jsonl(tmp_path / "metrics.jsonl", [{"update": n, **figures} for n in (1, 2, 3)])
        return Run(arm_config(ARMS["diverse"], 0, QUICK, tmp_path / "none"), tmp_path)

    return write


def test_steps_that_a_kill_made_twice_count_once(trained: Any):
    first = [rollout(update, "one") for update in (1, 2) for _ in range(4)]
    again = [rollout(update, "two") for update in (2, 3) for _ in range(4)]
    run = trained(*first, *again)
    figures = measures.training(run)
    assert (figures["steps"], figures["env_s"], figures["wall_s"]) == (12, 24.0, 30.0)
    assert [point["first_steps"] for point in measures.curve(run)] == [4, 4, 4]


def test_lost_steps_are_counted_and_in_no_mean(trained: Any):
    run = trained(rollout(1, "one"), rollout(2, "one", None), rollout(3, "one", 0.0))
    figures = measures.training(run)
    assert figures["lost"] == 1
    assert figures["valid"] == [1.0, 0.0]
    assert [update["reward"] for update in figures["by_update"]] == [0.5, None, 0.0]
    assert measures.curve(run)[1]["reward"] is None


def test_an_episodes_reward_is_that_of_its_steps(trained: Any):
    turns = [rollout(1, "one", reward, turn) for turn, reward in enumerate((1.0, 0.5, 0.0))]
    figures = measures.training(trained(*turns))
    assert figures["by_update"][0]["reward"] == 0.5
    assert figures["valid_by_turn"] == {"0": 1.0, "1": 1.0, "2": 0.0}
    assert figures["explained_variance"] == pytest.approx(0.3)


@pytest.mark.parametrize("size", [QUICK, FULL])
def test_every_arm_has_a_configuration_that_openrlhf_can_follow(size: Any, tmp_path: Path):
    pytest.importorskip("openrlhf")
    from mlagent_train.ppo import ppo_argv

    for arm in ARMS.values():
        config = arm_config(arm, 1, size, tmp_path / "rollouts.jsonl")
        assert "--train.agent_func_path" in ppo_argv(Run(config, tmp_path))
        steps = config.ppo.states_per_update * (size.turns if arm.mode == "episode" else 1)
        assert steps <= size.states
    assert expert_config(size).collect.ideas_from == f"{diverse.__module__}:{diverse.__name__}"


def invoke(*args: str) -> Any:
    app = typer.Typer()
    app.command()(main)
    return CliRunner().invoke(app, args)


def test_all_arms_of_a_seed_come_before_the_next_seed(tmp_path: Path):
    pieces = list(works(Bench(tmp_path, FULL, (0, 1))))
    assert [piece.seed for piece in pieces] == sorted(piece.seed for piece in pieces)
    assert {piece.arm for piece in pieces if piece.stage == "ppo"} == set(ARMS)


def test_the_quick_arms_build_on_each_other():
    assert {ARMS[name].start for name in QUICK_ARMS} <= {"", *QUICK_ARMS}
    assert "diverse" in QUICK_ARMS  # whose start `episode` goes on from, and whose states are asked


def test_modes_are_compared_from_one_start(tmp_path: Path):
    bench = Bench(tmp_path, QUICK, (0,))
    started = bench.run(ARMS["episode"], 0)
    for folder in (bench.folder / "expert" / "store", started.sft_model):
        folder.mkdir(parents=True)
    (started.sft_model / "weights").write_text("of both")
    write_json(started.folder / "sft" / "summary.json", {"loss": 0.5})
    write_json(bench.folder / "expert" / "collect" / "summary.json", {})
    step = bench.run(ARMS["step"], 0)
    step.states.parent.mkdir(parents=True)
    step.states.write_text("")
    pieces = [work for work in works(bench) if work.arm == "step"]
    assert [work.stage for work in pieces] == ["sft", "ppo", "after", "probe"]
    pieces[0].do(Console())
    assert (Path(step.start_model) / "weights").read_text() == "of both"
    assert (step.config.env.mode, started.config.env.mode) == ("step", "episode")


@pytest.mark.parametrize("stage", ["base", "sft", "ppo", "after", "probe", "best-of-n"])
def test_a_piece_without_what_it_builds_on_says_what_to_do(tmp_path: Path, stage: str):
    result = invoke("--work", str(tmp_path), "--stage", stage)
    assert result.exit_code == 2
    assert "UsageError: This builds on " in result.output
    assert "without --stage" in result.output
    assert not list(tmp_path.iterdir())


def test_the_page_can_be_written_before_anything_ran(tmp_path: Path):
    write_report(Bench(tmp_path, QUICK, (0,)), tmp_path / "docs" / "learning.md")
    page = (tmp_path / "docs" / "learning.md").read_text()
    assert "No run is finished yet." in page
    assert f"{QUICK.examples} examples in the warm start" in page
    assert "$" not in page
    assert "So single steps teach more" not in page  # read in the project's runs, not in these
    assert "](#what-was-tried" not in page
    assert (tmp_path / "docs" / "images" / "learning-gains.svg").exists()


def test_the_page_in_the_docs_is_what_its_figures_make():
    docs = Path(__file__).parents[2] / "docs"
    page = (docs / "learning.md").read_text()
    assert page == render_page(read_json(docs / "learning.json"), "learning.json", read=True)
    assert "So single steps teach more" in page
    assert "<!--" not in page


def test_figures_of_several_machines_add_up():
    kept = {"size": {"updates": 2}, "seeds": {"10": {"none": 1}, "2": {"diverse": 1, "none": 1}}}
    new = {"size": {"updates": 2}, "seeds": {"2": {"diverse": 2}, "3": {"single": 2}}}
    both = together(kept, new)["seeds"]
    assert both == {"2": {"diverse": 2, "none": 1}, "3": {"single": 2}, "10": {"none": 1}}
    assert list(both) == ["2", "3", "10"]
    with pytest.raises(ConfigError, match="another size"):
        together({**kept, "size": {"updates": 3}}, new)


def test_shuffled_rewards_are_drawn_and_nothing_runs(tmp_path: Path):
    from benchmarks.learning.shuffled import make

    record = tmp_path / "rollouts.jsonl"
    record.write_text("".join(json.dumps({"reward": r}) + "\n" for r in (0.25, 0.75, None)))
    env = make("spaceship-titanic", str(record), prompt="tiny", step_wise=True)
    try:
        rewards = set()
        for _ in range(20):
            env.reset(seed=0)
            _, reward, terminated, _, info = env.step("nonsense")
            rewards.add(reward)
            assert terminated
            assert not info["valid"]
        assert rewards == {0.25, 0.75}
    finally:
        env.close()


MEASURES = ("relative_gain", "reward", "valid", "improved")


def arm_figures(before: float, after: float, first_steps: int = 64, wall_s: float = 20) -> Any:
    splits = ("held-in", "held-out")
    values = {"before": before, "after": after}
    points = [{"first_steps": first_steps, "reward": reward} for reward in (0.4, 0.4, 0.6)]
    return {
        **{
            when: {split: dict.fromkeys(MEASURES, value) for split in splits}
            for when, value in values.items()
        },
        "training": {"steps": 192, "updates": 3, "wall_s": wall_s, "env_s": 60.0},
        "curve": points,
    }


def test_what_ppo_adds_is_a_mean_over_seeds_with_its_interval():
    afters = {"0": 0.2, "1": 0.22, "2": 0.24}
    seeds = {seed: {"diverse": arm_figures(0.05, after)} for seed, after in afters.items()}
    of_steps = TABLES["of_steps"]({"seeds": seeds})
    assert "| held-out | score better | 5.0 % | 22.0 % | +17.0 [+12.0, +22.0] |" in of_steps
    verdict = TABLES["verdict"]({"seeds": seeds})
    assert "1. PPO, held-in, after minus before: +17.0 [+12.0, +22.0]" in verdict
    assert "- 2." not in verdict
    assert "- 3." not in verdict


def test_starts_are_compared_on_the_seeds_that_both_have():
    seeds = {
        "0": {"diverse": arm_figures(0.05, 0.2)},
        "2": {"diverse": arm_figures(0.05, 0.24), "single": arm_figures(0.2, 0.21)},
    }
    verdict = TABLES["verdict"]({"seeds": seeds})
    assert "minus a single one, held-in, after PPO: +3.0 percentage points" in verdict
    assert "minus a single one, held-in, what PPO adds: +18.0 percentage points" in verdict


def test_modes_are_compared_by_what_a_minute_adds_on_the_seeds_that_both_have():
    episode = arm_figures(0.05, 0.1, first_steps=16)
    seeds = {
        "0": {"step": arm_figures(0.05, 0.2), "episode": episode},
        "1": {"step": arm_figures(0.05, 0.9, wall_s=1e6)},
        "2": {"episode": arm_figures(0.05, 0.9, wall_s=1e6)},
    }
    verdict = TABLES["verdict"]({"seeds": seeds})
    assert "held-out, after PPO: +10.0 percentage points; one seed gives no interval." in verdict
    assert "what PPO adds: " not in verdict  # one start, so it would say the same
    assert "A whole episode costs 4.0 times the wall-clock and 4.0 times the env" in verdict
    assert "reward of a step, held-out: +10.0 hundredths; one seed gives no interval." in verdict
    assert (
        "A minute of wall-clock adds +45.00 hundredths to the reward of a held-in step with "
        "single steps and +15.00 with whole episodes, 3.0 times as much: +30.00 more; one seed"
    ) in verdict
    assert "A minute of the environments' time adds +15.00 hundredths" in verdict
    learned = TABLES["learned"]({"seeds": seeds})
    assert "| step | held-out | +15.0 | 0.3 | 1.0 | +45.00 | +15.00 |" in learned
    ends = TABLES["ends"]({"seeds": seeds})
    assert "| held-in | mean reward | 0 | 5.0 % | 20.0 % | 10.0 % |" in ends
    assert "| 1 |" not in ends

    seeds["0"]["step"] = arm_figures(0.05, 0.04)
    verdict = TABLES["verdict"]({"seeds": seeds})
    assert "+15.00 with whole episodes: -18.00 more; one seed" in verdict  # no ratio of a loss

    seeds["0"]["step"] = arm_figures(0.05, 0.2)
    seeds["2"]["step"] = arm_figures(0.05, 0.95, wall_s=1e6)
    verdict = TABLES["verdict"]({"seeds": seeds})
    assert (
        "reward of a step, held-out: +7.5 [-24.3, +39.3] hundredths; the interval holds" in verdict
    )


def test_a_seed_that_is_not_there_is_refused(tmp_path: Path):
    result = invoke("--seeds", "2", "--seed", "2", "--work", str(tmp_path))
    assert result.exit_code == 2
    assert "raise --seeds" in result.output
