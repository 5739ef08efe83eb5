"""Waiting runs are taken in turns, and as the machine has room for them."""

from __future__ import annotations

import os
import socket
from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.sandbox.runtime.gpus import Gpu
from mlagent_gym.sandbox.runtime.slots import Demand, Grant, Slots
from mlagent_gym.sandbox.runtime.turns import Turns, client_of

CORES, MEMORY_MB = 4, 1000
GPUS = (Gpu("GPU-a", ("/dev/a", "/dev/both")), Gpu("GPU-b", ("/dev/b", "/dev/both")))
BOTH = ("GPU-a", "GPU-b")


def _slots(folder: Path) -> Slots:
    return Slots(CORES, MEMORY_MB, GPUS, folder, lambda: MEMORY_MB)


@given(st.lists(st.integers(0, 3), max_size=30))
def test_no_client_waits_for_more_than_one_turn_of_each_other(clients: list[int]) -> None:
    turns: Turns[tuple[int, int]] = Turns()
    for number, client in enumerate(clients):
        turns.add(client, (client, number))
    assert len(turns) == len(clients)
    assert sorted(number for _, number in turns) == list(range(len(clients)))
    taken: list[tuple[int, int]] = []
    waiting = Counter(clients)
    while turns:
        before = dict(waiting)
        took = turns.take(lambda one: one, lambda _: False)
        assert took is not None
        taken.append(took[0])
        waiting[taken[-1][0]] -= 1
        order = [client for client, _ in reversed(taken)]
        for client, count in before.items():
            if count and client != taken[-1][0]:
                since = order.index(client) if client in order else len(order)
                assert since <= len(set(clients)) - 1
    for client in set(clients):
        numbers = [number for one, number in taken if one == client]
        assert numbers == sorted(numbers)
    assert Counter(client for client, _ in taken) == Counter(clients)


def test_one_that_no_longer_waits_has_no_turn() -> None:
    turns: Turns[str] = Turns()
    for client, one in ((1, "a"), (1, "b"), (2, "c")):
        turns.add(client, one)
    turns.drop("a")
    turns.drop("c")
    assert list(turns) == ["b"]
    assert turns.take(lambda one: one, lambda _: False) == ("b", "b")
    assert turns.take(lambda one: one, lambda _: False) is None


def test_others_pass_one_that_waits_for_what_they_do_not_need() -> None:
    turns: Turns[str] = Turns()
    turns.add(1, "big")
    turns.add(2, "small")

    def give(one: str) -> str | None:
        return one if one == "small" else None

    assert turns.take(give, lambda _: False) is None
    assert turns.take(give, lambda _: True) == ("small", "small")
    assert list(turns) == ["big"]


def test_a_client_is_the_process_that_connected() -> None:
    ours, theirs = socket.socketpair()
    assert client_of(ours) == os.getpid()
    ours.close()
    theirs.close()


demands = st.builds(
    Demand,
    cores=st.integers(1, CORES),
    memory_mb=st.integers(0, MEMORY_MB),
    gpus=st.integers(0, 2),
    usable_gpus=st.just(BOTH),
)


@given(st.lists(st.tuples(st.integers(0, 2), demands), max_size=20), st.randoms())
def test_whatever_is_asked_for_is_given_in_the_end_and_never_more_than_there_is(
    asked: list[tuple[int, Demand]], random: object
) -> None:
    from mlagent_gym.sandbox.runtime.broker import next_of

    turns: Turns[Demand] = Turns()
    for client, demand in asked:
        turns.add(client, demand)
    given: list[Demand] = []
    running: list[Grant] = []
    with TemporaryDirectory() as folder:
        slots = _slots(Path(folder))
        while turns or running:
            while (taken := next_of(turns, slots, lambda demand: demand)) is not None:
                given.append(taken[0])
                running.append(taken[1])
            assert running, "everybody waits, and nobody runs"
            assert sum(grant.demand.cores for grant in running) <= CORES
            assert sum(grant.demand.memory_mb for grant in running) <= MEMORY_MB
            names = [gpu.name for grant in running for gpu in grant.gpus]
            assert len(names) == len(set(names))
            assert all(len(grant.gpus) == grant.demand.gpus for grant in running)
            slots.give_back(running.pop(random.randrange(len(running))))  # type: ignore[attr-defined]
    assert Counter(given) == Counter(demand for _, demand in asked)


@pytest.mark.parametrize(
    ("demand", "said"),
    [
        (Demand(cores=5), "5 cores, and there are 4"),
        (Demand(memory_mb=1001), "1001 MB of memory, and there are 1000"),
        (Demand(gpus=2, usable_gpus=("GPU-b", "GPU-x")), "2 GPUs it may use, and there are 1"),
        (Demand(cores=4, memory_mb=1000, gpus=2, usable_gpus=BOTH), ""),
    ],
)
def test_what_can_never_be_had_is_refused(demand: Demand, said: str, tmp_path: Path) -> None:
    assert _slots(tmp_path).refusal(demand).endswith(said)
    assert bool(_slots(tmp_path).refusal(demand)) == bool(said)


def test_a_run_that_is_alone_is_let_in_however_little_is_free(tmp_path: Path) -> None:
    slots = Slots(CORES, MEMORY_MB, (), tmp_path, lambda: 100)
    first = slots.take(Demand(memory_mb=900))
    assert first is not None
    assert slots.take(Demand(memory_mb=50)) is None
    slots.give_back(first)
    assert slots.take(Demand(memory_mb=50)) is not None
    assert slots.take(Demand(memory_mb=50)) is not None
    assert slots.take(Demand(memory_mb=50)) is None


def test_brokers_of_one_user_share_the_graphics_processors(tmp_path: Path) -> None:
    one, other = _slots(tmp_path), _slots(tmp_path)
    wanted = Demand(gpus=1, usable_gpus=BOTH)
    first, second = one.take(wanted), other.take(wanted)
    assert first is not None and second is not None
    assert {first.gpus[0].name, second.gpus[0].name} == set(BOTH)
    assert one.take(wanted) is None
    child = os.fork()  # a process that is forked meanwhile must not keep what it never had
    if child == 0:
        import signal

        signal.pause()
    other.give_back(second)
    third = one.take(wanted)
    os.kill(child, 9)
    os.waitpid(child, 0)
    assert third is not None
    assert third.gpus == second.gpus
    assert first.devices == ("/dev/a", "/dev/both")
    assert first.environment["CUDA_VISIBLE_DEVICES"] == "GPU-a"
