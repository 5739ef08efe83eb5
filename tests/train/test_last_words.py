"""mlagent_train.jobs.last_words: the reason, not the noise after it."""

from mlagent_train.jobs.last_words import last_words

LOG = """\x1b[36m(Actor pid=1)\x1b[0m starting
Traceback (most recent call last):
  File "trainer.py", line 3, in fit
ray.exceptions.RayTaskError(ActorDiedError): \x1b[36mray::PPOTrainer.fit()\x1b[39m
ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.
\tname: engine
\x1b[36m(Actor pid=1)\x1b[0m Loading:   0%|   | 0/26\rLoading: 100%|###| 26/26
\x1b[36m(Actor pid=2)\x1b[0m   super().__init__(loader)
"""


def test_the_last_error_is_shown_with_what_follows_it():
    assert last_words(LOG) == [
        "ray.exceptions.ActorDiedError: The actor died unexpectedly before finishing this task.",
        "\tname: engine",
        "(Actor pid=2)   super().__init__(loader)",
    ]


def test_errors_that_a_process_of_the_cluster_reported_count():
    assert last_words("fine\n(Worker pid=3) ValueError: no\n")[0] == "(Worker pid=3) ValueError: no"


def test_without_an_error_the_end_is_shown():
    log = "\n".join(f"line {number} Errors: none" for number in range(40))
    assert last_words(log)[-1] == "line 39 Errors: none"
    assert len(last_words(log)) == 15
    assert last_words("") == []
