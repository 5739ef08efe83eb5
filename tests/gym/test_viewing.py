"""Recordings become pages that show them, and that nothing written in them can take over."""

import dataclasses
import html.parser
import json
import threading
import urllib.error
import urllib.request

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from mlagent_gym.actions import render
from mlagent_gym.cli import app
from mlagent_gym.edits import unified_diff
from mlagent_gym.errors import RecordError, UsageError
from mlagent_gym.recording import RecordEpisode
from mlagent_gym.records import append_record
from mlagent_gym.viewing import serve, write_page
from mlagent_gym.viewing.colours import colour_diff
from mlagent_gym.viewing.folders import collect
from mlagent_gym.viewing.steps import read_step

from .conftest import edit, quality

HOSTILE = "</script><script>window.owned = 1</script><img src=x onerror='window.owned = 1'>"


@pytest.fixture
def recording(make_env, tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisode(make_env(), path)
    for third in (quality(0.9), edit("raise SystemExit\n")):
        env.reset(seed=0)
        env.step(render("List Files", {"dir_path": "."}, thought="First I look around."))
        env.step(quality(0.6))
        env.step(third)
        env.step("nonsense")
    return path


class Page(html.parser.HTMLParser):
    """What a browser would make of a page: its elements, and the text of each."""

    def __init__(self, text):
        super().__init__()
        self.tags, self.texts = [], {}
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        if self.tags:
            at = len(self.tags) - 1
            self.texts[at] = self.texts.get(at, "") + data

    @property
    def data(self):
        at = next(i for i, (_, attrs) in enumerate(self.tags) if attrs.get("id") == "data")
        return json.loads(self.texts[at])


def page_of(path):
    return Page(write_page(path).read_text())


def test_a_page_has_every_step_of_every_episode(recording):
    data = page_of(recording).data
    assert [len(one["steps"]) for one in data["episodes"]] == [4, 4]
    listed, better, best, invalid = data["episodes"][0]["steps"]
    assert listed["thought"] == "First I look around."
    assert listed["input"] == {"dir_path": "."}
    assert "train.py" in listed["output"]
    assert better["action"] == "Edit Script"
    assert better["run"] == "ok"
    assert ["+", [["", "QUALITY = "], ["n", "0.6"]]] in better["diff"]
    assert "(before)" not in better["output"], "the diff is shown once"
    assert best["resources"]["total_s"] > 0
    assert invalid["outcome"] == "invalid"
    assert data["tasks"]["house-price"]["higher_is_better"] is False


def test_a_reward_is_explained_by_what_it_is_made_of(recording):
    steps = page_of(recording).data["episodes"][1]["steps"]
    assert steps[0]["explained"] == "reward v1: a valid action that changes no script"
    assert steps[1]["explained"].startswith("reward v1: sigmoid(100 x gain); gain +")
    assert "script failed" in steps[2]["explained"]
    assert "no action" in steps[3]["explained"]


def test_episodes_that_share_states_meet_in_them(recording):
    one, two = (episode["steps"] for episode in page_of(recording).data["episodes"])
    assert one[0]["source"] == two[0]["source"]
    assert one[1]["target"] == two[1]["target"] == one[2]["source"]
    assert one[2]["target"] != two[2]["target"]


def test_rows_of_the_trainer_are_shown_too(recording, tmp_path):
    run = tmp_path / "run"
    trajectories, ppo = run / "collect" / "trajectories", run / "ppo"
    for folder in (trajectories, ppo, run / "store" / "ab"):
        folder.mkdir(parents=True)
    record = json.loads(recording.read_text().splitlines()[1])
    keys = ("episode", "state", "reply", "reward", "terminated", "truncated", "info")
    row = {key: record[key] for key in keys} | {"task": "house-price", "step": 2}
    (trajectories / "house-price-00000.jsonl").write_text(json.dumps(row) + "\n")
    rollouts = [
        {"purpose": "train", "update": 1 + i // 2, "task": "house-price", **row} for i in range(4)
    ] + [{"purpose": "train", "update": 2, "reply": "x", "reward": None, "detail": "it died"}]
    lines = "".join(json.dumps(one) + "\n" for one in rollouts)
    (ppo / "rollouts.jsonl").write_text(lines)
    (run / "collect" / "states.jsonl").write_text('{"task": "house-price", "state": {}}\n')
    (run / "store" / "ab" / "blob.jsonl").write_text(lines)
    collected, first, second = page_of(run).data["episodes"]
    assert collected["path"] == "collect/trajectories/house-price-00000.jsonl"
    assert any(kind == "+" for kind, _ in collected["steps"][0]["diff"])
    assert (first["name"], second["name"]) == ("train update 1", "train update 2")
    assert not first["sequence"]
    assert second["steps"][-1]["outcome"] == "lost"
    assert second["steps"][-1]["output"] == "it died"


def test_prompts_are_shown_as_they_were_and_kept_once(make_env, tmp_path):
    path = tmp_path / "episodes.jsonl"
    env = RecordEpisode(make_env(observation="messages"), path)
    env.reset(seed=0)
    for reply in (quality(0.6), quality(0.7), quality(0.8)):
        env.step(reply)
    recorded = [json.loads(line)["messages"] for line in path.read_text().splitlines()]
    data = page_of(path).data
    shown = [
        [
            {"role": role, "content": "\n\n".join(data["passages"][part] for part in parts)}
            for role, parts in step["prompt"]
        ]
        for step in data["episodes"][0]["steps"]
    ]
    assert shown == recorded
    assert len(set(data["passages"])) == len(data["passages"])
    assert sum(map(len, data["passages"])) < len(json.dumps(recorded)) / 2


@pytest.mark.parametrize("messages", [None, "x", [1], [{"role": 1, "content": None}], {"a": 1}])
def test_a_prompt_that_is_none_does_no_harm(messages):
    step = read_step({"reply": "x", "reward": 0.0, "messages": messages})
    assert all(text == "" for _, text in step.prompt)


def test_a_large_folder_gives_each_group_its_share_and_names_the_rest(recording, tmp_path):
    lines = recording.read_text().splitlines(keepends=True)[:4]
    for group in ("a", "b"):
        (tmp_path / "many" / group).mkdir(parents=True)
        for number in range(10):
            (tmp_path / "many" / group / f"{number}.jsonl").write_text("".join(lines))
    found = collect(tmp_path / "many", max_steps=24)
    assert [episode.path for episode in found.episodes] == [
        f"{g}/{n}.jsonl" for g in "ab" for n in range(3)
    ]
    assert len(found.left_out) == 14


def test_damaged_lines_are_reported_and_the_others_shown(recording):
    lines = recording.read_text().splitlines(keepends=True)
    recording.write_text("".join([lines[0], "{broken\n", "[]\n", lines[1], lines[2][:50]]))
    data = page_of(recording).data
    assert [len(one["steps"]) for one in data["episodes"]] == [2]
    assert data["problems"] == [f"episodes.jsonl, line {n}: not a step" for n in (2, 3)]


def test_what_cannot_be_shown_is_an_error(tmp_path):
    with pytest.raises(UsageError, match=r"no .*nowhere"):
        write_page(tmp_path / "nowhere")
    with pytest.raises(RecordError, match="no recordings"):
        write_page(tmp_path)
    (tmp_path / "text.jsonl").write_text("hello\n")
    with pytest.raises(RecordError, match=r"no steps \(text.jsonl, line 1: not a step\)"):
        write_page(tmp_path / "text.jsonl")


odd = ["scored", "v1", HOSTILE, "\ud800", "train.py was saved with this change:\n--- x"]
json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(odd) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)
KEYS = ("task", "outcome", "gain", "score", "best_score", "feedback", "state_id", "step", "seconds")


infos = json_values | st.fixed_dictionaries({}, optional=dict.fromkeys(KEYS, json_values))
BESIDE = ("state", "diff", "env", "resources", "detail", "time")


@given(
    st.fixed_dictionaries(
        {"reply": st.text(), "reward": json_values},
        optional={**dict.fromkeys(BESIDE, json_values), "info": infos},
    )
)
@settings(deadline=None, max_examples=150)
def test_no_row_however_wrong_breaks_the_viewer(row):
    step = read_step(json.loads(json.dumps(row))).to_dict()
    json.dumps(step, allow_nan=False).encode()


MARKUP = "</script> <script> <!-- --> <![CDATA[ ]]> <style> &lt; &#60; <svg/onload=x> javascript:"
SPECIAL = ["'", '"', "\\", "\\u003c", "${x}", "$data", "\x00", "\ud800", "\u2028", "\n"]
pieces = st.sampled_from([*MARKUP.split(), *SPECIAL])
hostile = st.lists(pieces | st.text(max_size=5), max_size=12).map("".join)


@given(text=hostile)
@settings(deadline=None, max_examples=60)
def test_hostile_text_stays_in_the_data(text, tmp_path_factory):
    folder = tmp_path_factory.mktemp("hostile")
    info = {"task": text, "feedback": text, "action": text, "outcome": text, "run_status": text}
    row = {"episode": text, "reply": text, "reward": 0, "diff": text, "info": info, "time": text}
    path = folder / "a.jsonl"
    path.write_text(json.dumps(row) + "\n")
    written = write_page(path, title=text).read_text()
    page = Page(written)
    assert [tag for tag, _ in page.tags] == [
        *("html", "head", "meta", "meta", "meta", "meta", "meta", "title", "style"),
        *("body", "noscript", "div", "script", "script"),
    ]
    assert page.data["episodes"][0]["steps"][0]["reward"] == 0
    start = written.index('id="data">')
    assert not set("<>&") & set(written[start + 10 : written.index("</script>", start)])


def test_the_policy_of_the_page_allows_its_own_program_only(recording):
    page = page_of(recording)
    policy = next(
        a["content"] for _, a in page.tags if a.get("http-equiv") == "Content-Security-Policy"
    )
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert not [attrs for _, attrs in page.tags if {"src", "href", "onload", "style"} & set(attrs)]


def plain(lines):
    return [
        (kind if kind in "+- " else "") + "".join(text for _, text in pieces)
        for kind, pieces in lines
    ]


def test_a_diff_keeps_its_text_whatever_its_colours():
    before = 'def f(x):\n    """Say\n    more."""\n    return x\n'
    after = before.replace("more", "less").replace("return x", "return 2 * x  # twice")
    diff = unified_diff(before, after, "train.py")
    lines = colour_diff(diff)
    assert plain(lines) == diff.split("\n")
    assert ("-", (("s", '    more."""'),)) in lines, "a string of several lines is one"


@given(st.lists(st.text(alphabet="+-@ ax'\"\\#()\n\r\x0c", max_size=8), max_size=12))
@settings(deadline=None)
def test_any_diff_keeps_its_text(lines):
    diff = "@@ -1 +1 @@\n" + "\n".join(lines)
    expected = diff.replace("\r", " ").split("\n")
    assert [line or " " for line in expected] == [line or " " for line in plain(colour_diff(diff))]


@pytest.fixture
def served(recording):
    address = []
    ready = threading.Event()

    def on_start(url):
        address.append(url)
        ready.set()

    thread = threading.Thread(
        target=serve, args=(recording.parent,), kwargs={"on_start": on_start}, daemon=True
    )
    thread.start()
    assert ready.wait(30)
    return address[0]


def get(url, **headers):
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, headers=headers), timeout=30
        ) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


def test_pages_are_served_to_this_machine_only(served, recording):
    assert served.startswith("http://127.0.0.1:")
    assert get(served)[0] == 200
    status, text = get(served + "?file=episodes.jsonl")
    assert status == 200
    assert len(Page(text).data["episodes"]) == 2
    assert get(served + "?file=../../etc/passwd")[0] == 404
    assert get(served + "?file=/etc/passwd")[0] == 404
    assert get(served + "?file=nowhere.jsonl")[0] == 404
    assert get(served + "other")[0] == 404
    assert get(served, Host="evil.example:80")[0] == 403


def test_the_command_writes_a_page(recording, tmp_path):
    done = CliRunner().invoke(app, ["view", str(recording)])
    assert done.exit_code == 0
    assert done.stdout.strip() == f"Wrote {recording.with_suffix('.html')}"
    assert CliRunner().invoke(app, ["view", str(tmp_path / "nowhere")]).exit_code == 2
    assert CliRunner().invoke(app, ["view", str(recording), "--serve", "-o", "x"]).exit_code == 2


def test_a_torn_recording_of_a_hostile_task_name_is_shown(recording, make_env, tmp_path):
    env = RecordEpisode(make_env(), None)
    env.reset(seed=0)
    env.step(quality(0.5))
    state = dataclasses.replace(env.record.state, task="../../etc")
    path = tmp_path / "odd.jsonl"
    info = {**env.record.info, "task": "../../etc"}
    append_record(path, dataclasses.replace(env.record, state=state, info=info))
    assert page_of(path).data["tasks"] == {"../../etc": {}}
