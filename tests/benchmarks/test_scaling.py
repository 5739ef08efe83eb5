"""benchmarks.scaling: the page shows what the command prints, and the model adds up."""

import dataclasses
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks import scaling

PAGE = Path(__file__).parents[2] / "docs" / "scaling.md"


@pytest.fixture
def measured():
    return scaling.load()


def test_the_page_shows_what_the_command_prints(measured):
    said = subprocess.run(
        [sys.executable, "-m", "benchmarks.scaling"],
        capture_output=True,
        text=True,
        check=True,
        cwd=PAGE.parents[1],
    ).stdout
    assert said.strip() in PAGE.read_text(encoding="utf-8")


def test_the_page_names_what_was_assumed():
    page, assumed = PAGE.read_text(encoding="utf-8"), scaling.Assumed()
    for said in (
        f"{assumed.parameters / 1e9:g} billion parameters",
        f"prompts of {assumed.prompt_tokens:,.0f} and replies of {assumed.reply_tokens:.0f} tokens",
        f"{assumed.flops / 1e12:g} TFLOPS",
        f"reaches {assumed.prefill_share:.0%} and training {assumed.train_share:.0%}".replace(
            "%", " %"
        ),
        f"{assumed.decode_tokens_per_s:,.0f} tokens a second",
        f"{assumed.cores_per_gpu:g} cores for each GPU",
        f"{assumed.real_env_s:g} s for a step on real data",
        f"{assumed.ray_actors:,.0f} actors",
    ):
        assert said in page, said


def test_ten_times_the_steps_cost_ten_times_as_much(measured):
    _, *rows = scaling.costs(measured, scaling.Assumed())
    gpu_hours = [float(row[1].replace(",", "")) for row in rows]
    assert gpu_hours[2] / gpu_hours[0] == pytest.approx(100, rel=0.02)


def test_what_gives_out_first_is_what_there_is_least_of(measured):
    few_cores = scaling.Assumed(cores_per_gpu=0.01)
    slow_pool = dataclasses.replace(measured, pool_steps_per_s=0.1)
    assert {row[-1] for row in list(scaling.rates(measured, few_cores))[1:]} == {"cores"}
    generous = scaling.Assumed(cores_per_gpu=1e6)
    assert {row[-1] for row in list(scaling.rates(slow_pool, generous))[1:]} == {"the pool"}
