"""Reports in every form, kept results and comparisons."""

import csv
import dataclasses
import json

import pytest
from typer.testing import CliRunner

from benchmarks import compare, leaderboard
from benchmarks.cells import figure_cells, label, paper_cells
from benchmarks.figures import Trajectory, summarise
from benchmarks.protocol import Protocol, choose_tasks, trained_with
from benchmarks.report import as_csv, markdown, write_report
from benchmarks.results import Results, _standing, open_results
from mlagent_gym import ConfigError, load_task
from mlagent_gym.boards import load_board

pytestmark = pytest.mark.train
SPOOKY, INSULTS = "spooky-author-identification", "detecting-insults-in-social-commentary"


def of_variant(folder, variant, rows, task=SPOOKY):
    """Return results of real data that were never run, and their summary."""
    results = open_results(folder, Protocol("my:policy", (task,), variant=variant))
    return results, summarise(rows, {}, {"held-out": [task]})


def row(task=SPOOKY, best=0.4, **more):
    standing = _standing(task, {"variant": "real"}, best)
    values = {
        "task": task,
        "number": 0,
        "higher_is_better": False,
        "initial": 0.5,
        "reference": 0.3,
        "scores": (best,),
        "best": best,
        "outcomes": ("scored",),
        "runs": 1,
        "medal": standing.medal,
        "percentile": standing.percentile,
    }
    return Trajectory(**(values | more))


def test_real_scores_have_a_place_on_the_board_that_is_called_indicative(tmp_path):
    gold = load_board(load_task(SPOOKY))[0]
    results, summary = of_variant(tmp_path, "real", [row(best=gold)])
    table = figure_cells(results, summary)
    cells = dict(zip(table.columns, table.rows[0], strict=True))
    assert cells["medals"].text == "1 gold (indicative)"
    assert cells["percentile"].value == 100.0
    assert "indicative" in table.note
    assert label(results) == "real data"
    text = markdown(results, summary)
    assert "SYNTHETIC" not in text
    assert f"{gold:.5g} / {gold:.5g} |" in text


def test_partial_and_synthetic_scores_have_none_and_say_what_they_are(tmp_path):
    assert _standing(SPOOKY, {"variant": "synthetic"}, 0.1) is None
    assert _standing(SPOOKY, {"variant": "real-partial"}, 0.1) is None
    none = row(medal=None, percentile=None)
    results, summary = of_variant(tmp_path, "real-partial", [none])
    assert "medals" not in figure_cells(results, summary).columns
    assert label(results) == "PARTIAL REAL DATA"
    assert "PARTIAL REAL DATA" in paper_cells(results, summary).columns[-1]
    assert "must not be compared" in markdown(results, summary)


def test_beside_the_paper_stands_the_paper_s_metric_or_another_by_name(tmp_path):
    auc = row(INSULTS, best=0.9, higher_is_better=True, medal=None, percentile=None)
    with_accuracy = dataclasses.replace(auc, also={"accuracy_at_half": 0.8125})
    for trajectory, shown in ((auc, "0.9 / 0.9 (auc)"), (with_accuracy, "81.25 / 81.25")):
        results, summary = of_variant(tmp_path, "real", [trajectory], INSULTS)
        rows = {line[0].text: line for line in paper_cells(results, summary).rows}
        assert rows[INSULTS][-1].text == shown


def test_a_suspicious_score_is_named(tmp_path):
    results, summary = of_variant(tmp_path, "real", [row(flag="too good to be true")])
    assert f"{SPOOKY}/00: too good to be true" in markdown(results, summary)


def test_the_csv_is_unrounded_and_names_its_data(bench):
    results = bench()
    summary = results.summary()
    rows = list(csv.DictReader(as_csv(results, summary).splitlines()))
    assert {line["variant"] for line in rows} == {"synthetic"}
    for line in rows:
        assert float(line["average"]) == summary.tasks[line["task"]].average
        assert float(line["relative_gain_low"]) == summary.tasks[line["task"]].relative_gain.low


def test_what_failed_is_listed_in_every_form(bench):
    results = bench(fail=lambda request: "no disk" if "house" in request.env_id else "")
    write_report(results, results.summary())
    for name in ("report.md", "report.html"):
        text = (results.folder / name).read_text()
        assert "house-price/01" in text
        assert "no disk" in text


def test_only_whole_results_are_kept_and_data_are_told_apart(bench, tmp_path, monkeypatch):
    kept = tmp_path / "kept"
    monkeypatch.setattr(leaderboard, "RESULTS", kept)
    broken = bench(folder=tmp_path / "broken", fail=lambda request: "no disk")
    with pytest.raises(ConfigError, match="no result"):
        leaderboard.keep_result(broken.folder, kept)
    assert not kept.exists()
    results = bench()
    path = leaderboard.keep_result(results.folder, kept)
    values = json.loads(path.read_text())
    (kept / "real.json").write_text(
        json.dumps(values | {"protocol": values["protocol"] | {"variant": "real"}})
    )
    tables = leaderboard.kept_results(kept)
    assert list(tables) == ["real data, 2 tasks", "synthetic data of seed 0, 2 tasks"]
    (shown,) = leaderboard.leaderboard_rows(tables["synthetic data of seed 0, 2 tasks"])
    assert dict(zip(leaderboard.COLUMNS, shown, strict=True))["tasks"] == "2"
    gain = results.summary().splits["held-in"].relative_gain
    assert f"{100 * gain.mean:.1f} [{100 * gain.low:.1f}, {100 * gain.high:.1f}]" in shown


def test_a_kept_result_is_not_replaced_by_a_quick_look(bench, tmp_path):
    leaderboard.keep_result(bench(folder=tmp_path / "whole").folder, tmp_path / "kept")
    leaderboard.keep_result(bench(folder=tmp_path / "again").folder, tmp_path / "kept")
    quick = bench(folder=tmp_path / "quick", max_steps=2)
    with pytest.raises(ConfigError, match="another protocol \\(max_steps\\)"):
        leaderboard.keep_result(quick.folder, tmp_path / "kept")


def test_results_on_other_data_have_a_table_of_their_own(bench, tmp_path):
    path = leaderboard.keep_result(bench().folder, tmp_path)
    values = json.loads(path.read_text())
    fewer = {"fingerprints": {"house-price": values["fingerprints"]["house-price"]}}
    fewer["tasks"] = {"house-price": values["tasks"]["house-price"]}
    (tmp_path / "fewer.json").write_text(json.dumps(values | fewer))
    changed = dict.fromkeys(values["fingerprints"], "0" * 32)
    (tmp_path / "other.json").write_text(json.dumps(values | {"fingerprints": changed}))
    titles = list(leaderboard.kept_results(tmp_path))
    assert titles == [
        "synthetic data of seed 0, 1 task",
        "synthetic data of seed 0, 2 tasks",
        "synthetic data of seed 0, 2 tasks, other data",
    ]


def test_the_kept_results_of_the_project_can_be_shown():
    kept = leaderboard.kept_results()
    for summaries in kept.values():
        assert len(leaderboard.leaderboard_rows(summaries)) == len(summaries)
        for summary in summaries:
            assert {"command", "revision", "packages", "cores"} <= set(summary["surroundings"])
            assert not summary["failures"]


def test_policies_are_compared_over_the_same_trajectories_and_nothing_else(bench, tmp_path):
    greedy, idle = bench(), bench("scripted:no-op", tmp_path / "idle")
    short = bench("scripted:no-op", tmp_path / "short", max_steps=2)
    command = CliRunner()
    done = command.invoke(compare.app, [str(greedy.folder), str(idle.folder), "--json"])
    assert done.exit_code == 0
    tested = json.loads(done.output)
    assert tested["pairs"] == 4
    gains = [trajectory.relative_gain for trajectory in greedy.trajectories()]
    assert tested["difference"]["mean"] == pytest.approx(sum(gains) / 4)
    refused = command.invoke(compare.app, [str(greedy.folder), str(short.folder)])
    assert refused.exit_code == 1
    assert "max_steps" in refused.output
    anyway = command.invoke(compare.app, [str(greedy.folder), str(short.folder), "--anyway"])
    assert anyway.exit_code == 0
    assert "not the same" in anyway.output


def test_steps_on_other_data_are_refused(bench, monkeypatch):
    results = bench()
    read = Results.records

    def mixed(self, task, number):
        rows = read(self, task, number)
        if number == 0:
            return rows
        return [
            dataclasses.replace(row, state=dataclasses.replace(row.state, fingerprint="other"))
            for row in rows
        ]

    monkeypatch.setattr(Results, "records", mixed)
    with pytest.raises(ConfigError, match="different data"):
        results.summary()


def test_a_run_is_benchmarked_with_what_it_was_trained_with(tmp_path):
    config = {
        "env": {"prompt": "tiny"},
        "evaluate": {"temperature": 1.0},
        "rollout": {"max_new_tokens": 160, "max_prompt_tokens": 512},
    }
    (tmp_path / "config.json").write_text(json.dumps(config))
    (tmp_path / "checkpoint").mkdir()
    fields = trained_with(f"run:{tmp_path}")
    protocol = Protocol("run:x", (SPOOKY,), **fields)
    assert (protocol.prompt, protocol.max_new_tokens, protocol.max_prompt_tokens) == (
        "tiny",
        160,
        512,
    )
    assert trained_with("scripted:greedy") == {}
    with pytest.raises(ConfigError, match="run folder"):
        trained_with("run:/nowhere")


def test_a_variant_that_a_task_does_not_have_is_refused():
    assert choose_tasks([SPOOKY], "real") == (SPOOKY,)
    with pytest.raises(ConfigError, match="no variant 'really'"):
        choose_tasks([SPOOKY], "really")
