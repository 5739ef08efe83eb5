"""A question is asked once, again when that may help, and never too many at a time."""

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from mlagent_gym.endpoint import Completion, EndpointConfig, complete
from mlagent_gym.errors import ConfigError, EndpointError

QUESTION = [{"role": "user", "content": "What is 6 times 7?"}]


def config(endpoint, **kwargs):
    defaults = {"timeout_s": 5.0, "prompt_price": 1.0, "completion_price": 10.0}
    return EndpointConfig(endpoint.base_url, "small", **(defaults | kwargs))


def test_an_answer_is_remembered(endpoint, tmp_path, monkeypatch):
    monkeypatch.setenv("MLAGENT_EDITOR_KEY", "secret")
    server = endpoint("42")
    first = complete(config(server), QUESTION, tmp_path)
    assert first == Completion("42", 100, 20, cost=(100 * 1 + 20 * 10) / 1e6)
    again = complete(config(server), QUESTION, tmp_path)
    assert again == Completion("42", 100, 20, cost=0.0, cached=True)
    assert len(server.questions) == 1
    assert server.keys == ["Bearer secret"]
    assert server.questions[0]["messages"] == QUESTION
    complete(config(server, temperature=0.5), QUESTION, tmp_path)
    complete(config(server), [{"role": "user", "content": "?"}], tmp_path)
    assert len(server.questions) == 3
    for path in tmp_path.glob("??/*.json"):
        path.write_text("{")
    assert not complete(config(server), QUESTION, tmp_path).cached


@pytest.mark.parametrize("failure", [429, 500, 503, None])
def test_what_may_pass_is_tried_again(endpoint, tmp_path, failure):
    server = endpoint(failure, failure, "42")
    assert complete(config(server), QUESTION, tmp_path).text == "42"
    assert len(server.questions) == 3


@pytest.mark.parametrize(
    ("answer", "message", "asked"),
    [
        (401, "AuthenticationError", 1),
        (404, "NotFoundError", 1),
        (503, "InternalServerError", 3),
        ("", "empty", 1),
        ({"hello": "world"}, "something else", 1),
        (
            {"choices": [{"finish_reason": "length", "message": {"content": "to be cont"}}]},
            "longer than",
            1,
        ),
    ],
)
def test_an_answer_that_cannot_be_used_is_an_error_and_is_not_remembered(
    endpoint, tmp_path, answer, message, asked
):
    server = endpoint(answer)
    for _ in range(2):
        with pytest.raises(EndpointError, match=message):
            complete(config(server, retries=2), QUESTION, tmp_path)
    assert len(server.questions) == 2 * asked
    assert not list(tmp_path.glob("??/*.json"))


def test_a_slow_or_absent_endpoint_is_given_up(endpoint, tmp_path):
    slow = config(endpoint("42", delay_s=2.0), timeout_s=0.2, retries=0)
    with pytest.raises(EndpointError, match="Timeout"):
        complete(slow, QUESTION, tmp_path)
    absent = EndpointConfig("http://127.0.0.1:9/v1", "small", retries=0)
    with pytest.raises(EndpointError, match="did not answer"):
        complete(absent, QUESTION, tmp_path)


ASK = """
import sys
from pathlib import Path
from mlagent_gym.endpoint import EndpointConfig, complete
config = EndpointConfig(sys.argv[1], "small", at_once=2, timeout_s=5.0)
complete(config, [{"role": "user", "content": sys.argv[3]}], Path(sys.argv[2]))
"""


def test_questions_at_once_are_limited_over_threads_and_processes(endpoint, tmp_path):
    server = endpoint("42", delay_s=0.1)
    limited = config(server, at_once=2)
    command = [sys.executable, "-c", ASK, server.base_url, str(tmp_path), "from a process"]
    other = subprocess.Popen(command)
    with ThreadPoolExecutor(6) as threads:
        questions = [[{"role": "user", "content": str(number)}] for number in range(12)]
        answers = list(threads.map(lambda one: complete(limited, one, tmp_path), questions))
    assert other.wait() == 0
    assert {answer.text for answer in answers} == {"42"}
    assert server.most_at_once == 2
    with pytest.raises(EndpointError, match="busy with 0"):
        complete(config(server, at_once=0, timeout_s=0.0), QUESTION, tmp_path)


def test_the_same_question_at_once_is_asked_once(endpoint, tmp_path):
    server = endpoint("42", delay_s=0.1)
    limited = config(server, at_once=1)
    with ThreadPoolExecutor(4) as threads:
        list(threads.map(lambda _: complete(limited, QUESTION, tmp_path), range(4)))
    assert len(server.questions) == 1


def test_the_environment_configures_it(monkeypatch):
    for name in ("BASE_URL", "MODEL"):
        monkeypatch.delenv(f"MLAGENT_EDITOR_{name}", raising=False)
    assert EndpointConfig.from_environment() is None
    monkeypatch.setenv("MLAGENT_EDITOR_BASE_URL", "http://host/v1")
    with pytest.raises(ConfigError, match="model"):
        EndpointConfig.from_environment()
    monkeypatch.setenv("MLAGENT_EDITOR_MODEL", "small")
    monkeypatch.setenv("MLAGENT_EDITOR_TIMEOUT_S", "7")
    monkeypatch.setenv("MLAGENT_EDITOR_KEY", "secret")
    found = EndpointConfig.from_environment()
    assert found == EndpointConfig("http://host/v1", "small", timeout_s=7.0)
    assert "secret" not in repr(found)
    monkeypatch.setenv("MLAGENT_EDITOR_TIMEOUT_S", "soon")
    with pytest.raises(ConfigError, match="timeout_s"):
        EndpointConfig.from_environment()
    with pytest.raises(ConfigError, match="no speed"):
        EndpointConfig.from_values({"base_url": "u", "model": "m", "speed": 1})
