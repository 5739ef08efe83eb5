"""Whatever is done in whatever order, the environment goes on and can be restored."""

import json

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from mlagent_gym import INFO_KEYS, FakeExecutor, MLAgentEnv, Outcome
from mlagent_gym.actions import ACTIONS, render
from mlagent_gym.executor import Run, RunStatus

from .conftest import DATA_SIZE, TASK, quality_run

paths = st.sampled_from(["train.py", "new.py", "sub/deep.py", "data.txt", "submission.csv"])
paths |= st.sampled_from(["../input/train.csv", "../secret.txt", "/etc/passwd", "", ".", "a\x00b"])
paths |= st.sampled_from(["é.py", "x" * 300])
contents = st.sampled_from(["QUALITY = 0.9\n", "QUALITY = 0.3\n", "raise", "while True", "silent"])
contents |= st.text(max_size=50)
numbers = st.integers(-5, 300)
BUDGET = 6000


def run(script, workspace, data):
    """Answer like the real executor for what is not there, is no text or writes other files."""
    try:
        text = (workspace / script).read_text()
    except (OSError, UnicodeDecodeError):
        return Run(RunStatus.ERROR, "SyntaxError", exit_code=1)
    if len(text) % 7 == 3:
        (workspace / "left").mkdir(exist_ok=True)
        (workspace / "left" / "behind.bin").write_bytes(text.encode("utf-8", "replace"))
        (workspace / "link").unlink(missing_ok=True)
        (workspace / "link").symlink_to("/etc/passwd")
    return quality_run(script, workspace, data)


class Episode(RuleBasedStateMachine):
    saved = Bundle("saved")

    @initialize(seed=st.integers(0, 99), prompt=st.sampled_from(["mlab", "compact"]))
    def start(self, seed, prompt):
        self.env = MLAgentEnv(
            TASK,
            data_size=DATA_SIZE,
            executor=FakeExecutor(run),
            store=self.store,
            prompt=prompt,
            prompt_budget=BUDGET,
            max_steps=10,
        )
        self.observation, self.info = self.env.reset(seed=seed)

    def do(self, name, **values):
        self.step(render(name, values))

    @rule(text=st.text() | st.sampled_from(["Action: \nAction Input: {", "\ud800", "{" * 9999]))
    def step(self, text):
        before = self.info
        self.observation, reward, terminated, truncated, self.info = self.env.step(text)
        assert 0.0 <= reward <= 1.0
        assert terminated == (self.info["action"] == "Final Answer")
        assert truncated == (bool(self.info["truncated_by"]))
        assert self.info["step"] == before["step"] + 1
        assert self.info["best_score"] <= before["best_score"]
        if self.info["outcome"] in (Outcome.INVALID, Outcome.FAILED):
            assert self.info["score"] == before["score"]
            assert reward == 0.0

    @rule(path=paths)
    def list_files(self, path):
        self.do("List Files", dir_path=path)

    @rule(path=paths, first=numbers, last=numbers)
    def inspect(self, path, first, last):
        values = {"start_line_number": first, "end_line_number": last}
        self.do("Inspect Script Lines", script_name=path, **values)

    @rule(path=paths)
    def execute(self, path):
        self.do("Execute Script", script_name=path)

    @rule(path=paths, content=contents, save=paths)
    def write(self, path, content, save):
        self.do("Edit Script", script_name=path, content=content, save_name=save)

    @rule(path=paths, search=contents, new=contents)
    def replace(self, path, search, new):
        edits = [{"search": search, "replace": new}]
        self.do("Edit Script", script_name=path, edits=edits)

    @rule(path=paths)
    def undo(self, path):
        self.do("Undo Edit Script", script_name=path)

    @rule(source=paths, destination=paths)
    def copy(self, source, destination):
        self.do("Copy File", source=source, destination=destination)

    @rule()
    def answer(self):
        self.do("Final Answer", final_answer="done")

    @rule(target=saved)
    def save(self):
        return self.env.state().to_json(), self.observation

    @rule(one=saved)
    def restore(self, one):
        state, observation = one
        self.observation, self.info = self.env.reset(options={"state": json.loads(state)})
        assert self.observation == observation
        assert self.env.state().to_json() == state

    @invariant()
    def nothing_grows_without_bound_or_gets_out(self):
        if not hasattr(self, "env"):
            return
        assert set(self.info) == set(INFO_KEYS)
        assert len(self.observation) <= BUDGET
        assert "root:" not in self.observation
        assert len(self.info["feedback"]) < 100_000
        assert all(not path.startswith(("/", "..")) for path in self.env.state().files)

    def teardown(self):
        if hasattr(self, "env"):
            self.env.close()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    return tmp_path_factory.mktemp("store")


def test_no_sequence_of_actions_breaks_an_episode(store):
    Episode.store = store
    Episode.TestCase.settings = settings(
        max_examples=25,
        stateful_step_count=25,
        deadline=None,
        suppress_health_check=[HealthCheck.too_slow],
    )
    Episode.TestCase().runTest()
    assert len(ACTIONS) == 9  # a new action needs a rule here
