"""Agents by name: scripted ones, models of our own, endpoints and functions."""

import asyncio
import http.server
import json
import os
import sys
import threading
import time
import types

import pytest

from mlagent_gym import ConfigError, load_task, parse
from mlagent_gym.actions import InvalidAction
from mlagent_train.agents import Reply, Sampling, Turn, make_agent
from mlagent_train.errors import EndpointError

from ..gym.fake_endpoint import FakeEndpoint

INFO = {"outcome": "", "gain": 0.0, "score": 1.0}


def turn(task="house-price", past=()):
    script = load_task(task).starter_files()["train.py"].decode()
    prompt = [{"role": "user", "content": f"Improve.\n```python\n{script}\n```\nNext?"}]
    return Turn(task, 3, prompt, INFO, past)


def act(agent, asked):
    return asyncio.run(agent.act(asked))


@pytest.mark.parametrize("name", ["no-op", "random", "expert", "greedy", "propose"])
def test_scripted_agents_give_valid_actions_and_repeat_themselves(name):
    reply = act(make_agent(f"scripted:{name}"), turn())
    assert not isinstance(parse(reply.text), InvalidAction)
    assert act(make_agent(f"scripted:{name}"), turn()) == reply


def test_a_scripted_agent_goes_on_from_the_past_it_is_told():
    first = act(make_agent("scripted:greedy"), turn())
    past = [("prompt", INFO)]
    better = {"outcome": "scored", "gain": 0.1, "score": 2.0}
    second = act(
        make_agent("scripted:greedy"), Turn("house-price", 3, turn().messages, better, past)
    )
    assert second.text != first.text


def test_the_proposer_ends_when_no_idea_fits():
    empty = Turn("house-price", 0, [{"role": "user", "content": "```python\npass\n```"}], INFO)
    assert parse(act(make_agent("scripted:propose"), empty).text).name == "Final Answer"


def test_a_function_of_ones_own(monkeypatch):
    module = types.ModuleType("my_policies")
    module.plain = lambda messages: f"plain {len(messages)}"

    async def coroutine(messages):
        return "async"

    module.coroutine = coroutine
    monkeypatch.setitem(sys.modules, "my_policies", module)
    assert act(make_agent("my_policies:plain"), turn()).text == "plain 1"
    assert act(make_agent("my_policies:coroutine"), turn()).text == "async"


@pytest.mark.parametrize("spec", ["greedy", "scripted:clever", "no_such_module:f", "run:/nowhere"])
def test_a_wrong_name_says_what_is_known(spec):
    with pytest.raises(ConfigError):
        make_agent(spec)


class Endpoint(http.server.BaseHTTPRequestHandler):
    """Speaks the chat completions API; fails the first request as an overloaded one does."""

    asked: list[dict] = []  # noqa: RUF012 - shared on purpose

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append(body)
        if len(self.asked) == 1:
            self.send_response(503)
            self.send_header("Retry-After", "0")
            self.end_headers()
            return
        answer = {
            "id": "1",
            "object": "chat.completion",
            "created": 0,
            "model": body["model"],
            "choices": [
                {
                    "index": 0,
                    "finish_reason": "stop",
                    "message": {"role": "assistant", "content": "Action: ..."},
                }
            ],
            "usage": {"prompt_tokens": 1000, "completion_tokens": 10, "total_tokens": 1010},
        }
        self.send(json.dumps(answer).encode())

    def do_GET(self):
        assert self.path == "/v1/models"
        model = {"id": "the-served-one", "object": "model", "created": 0, "owned_by": "vllm"}
        self.send(json.dumps({"object": "list", "data": [model]}).encode())

    def send(self, content):
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


@pytest.fixture
def endpoint(monkeypatch):
    Endpoint.asked.clear()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Endpoint) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("OPENAI_BASE_URL", f"http://127.0.0.1:{server.server_port}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "none")
        monkeypatch.setenv("MLAGENT_PRICES", "2,10")
        yield Endpoint.asked
        server.shutdown()


def test_an_endpoint_is_asked_again_after_a_failure_and_its_tokens_are_counted(endpoint):
    reply = act(
        make_agent("openai:some-model", Sampling(temperature=0.3, max_new_tokens=77)), turn()
    )
    assert reply.text == "Action: ..."
    assert (reply.prompt_tokens, reply.completion_tokens) == (1000, 10)
    assert reply.cost == pytest.approx((1000 * 2 + 10 * 10) / 1e6)
    assert len(endpoint) == 2
    asked = endpoint[-1]
    assert (asked["model"], asked["temperature"], asked["max_tokens"]) == ("some-model", 0.3, 77)


def test_a_server_of_vllm_is_asked_for_its_one_model_and_needs_no_key(endpoint, monkeypatch):
    url = os.environ["OPENAI_BASE_URL"]
    monkeypatch.setenv("OPENAI_BASE_URL", "http://127.0.0.1:1/v1")  # not the one to be asked
    monkeypatch.delenv("OPENAI_API_KEY")
    assert act(make_agent(f"vllm:{url}"), turn()).text == "Action: ..."
    assert {question["model"] for question in endpoint} == {"the-served-one"}
    with pytest.raises(ConfigError, match="vllm serve"):
        make_agent("vllm:http://127.0.0.1:1/v1")


def test_no_more_questions_than_allowed_are_asked_at_once(endpoint, monkeypatch):
    at_once, most = 0, 0
    answer = Endpoint.do_POST

    def slowly(self):
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        time.sleep(0.05)
        at_once -= 1
        answer(self)

    monkeypatch.setattr(Endpoint, "do_POST", slowly)
    agent = make_agent("openai:some-model", at_once=2)

    async def ask():
        return await asyncio.gather(*(agent.act(turn()) for _ in range(8)))

    assert len(asyncio.run(ask())) == 8
    assert most == 2


@pytest.mark.parametrize("kind", ["hf", "vllm", "run"])
def test_a_checkpoint_answers(kind, tiny_model, tmp_path, monkeypatch):
    name = tiny_model
    if kind == "run":
        (tmp_path / "sft").mkdir()
        (tmp_path / "sft" / "model").symlink_to(tiny_model)
        name = tmp_path
    if kind == "vllm":  # its interface, with transformers behind it
        from mlagent_train.cuda_free import engine

        monkeypatch.setitem(sys.modules, "vllm", engine)
        monkeypatch.setitem(sys.modules, "vllm.inputs", engine)
    agent = make_agent(f"{kind}:{name}", Sampling(max_new_tokens=5))
    reply = act(agent, turn())
    assert reply.prompt_tokens > 0
    assert 0 < reply.completion_tokens <= 5


def test_the_policy_of_a_run_is_the_trained_one_or_else_the_warm_start(tmp_path):
    from mlagent_train.agents import trained_model

    (tmp_path / "sft" / "model").mkdir(parents=True)
    assert trained_model(tmp_path) == tmp_path / "sft" / "model"
    (tmp_path / "checkpoint").mkdir()
    assert trained_model(tmp_path) == tmp_path / "checkpoint"


@pytest.mark.parametrize(
    "said",
    [
        "This model's maximum context length is 8192 tokens. However, you requested 9000 tokens",
        "The decoder prompt (length 9000) is longer than the maximum model length of 8192.",
        "{'code': 'context_length_exceeded'}",
    ],
)
def test_a_prompt_that_does_not_fit_is_the_policys_own_limit(said, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    server = FakeEndpoint([(400, said)])
    try:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        assert act(make_agent("openai:some-model"), turn()) == Reply("")
        assert len(server.questions) == 1
    finally:
        server.close()


def test_another_refusal_is_a_fault_of_the_endpoint(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    server = FakeEndpoint([(400, "temperature is out of range")])
    try:
        monkeypatch.setenv("OPENAI_BASE_URL", server.base_url)
        with pytest.raises(EndpointError, match="temperature"):
            act(make_agent("openai:some-model"), turn())
    finally:
        server.close()


def test_an_endpoint_needs_a_key(monkeypatch):
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match="OPENAI_API_KEY"):
        make_agent("openai:some-model")
