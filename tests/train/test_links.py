"""mlagent_train.envs.links: questions and answers between processes, and who is let in."""

import asyncio
import contextlib
import pickle
import socket
import threading

import pytest

from mlagent_train.envs.links import Caller, Door, LinkLostError, serve
from mlagent_train.errors import TooManyFaultsError

LIMIT_S = 60  # for what is done at once, on a machine with other work


class UnspeakableError(Exception):
    """Cannot be pickled again: it wants two arguments and keeps one."""

    def __init__(self, one, two):
        super().__init__(one)


async def answer(message):
    if message == "slow":
        await asyncio.sleep(LIMIT_S)
    if isinstance(message, Exception):
        raise message
    if message == "unspeakable":
        raise UnspeakableError("one", "two")
    return ["answer to", message]


def with_door(use):
    """Run `use(door)` and close the door."""

    async def run():
        door = Door(answer)
        await door.open("127.0.0.1")
        try:
            async with asyncio.timeout(LIMIT_S):
                return await use(door)
        finally:
            door.close()

    return asyncio.run(run())


def served(door, by, name="worker"):
    """Have a thread come to the door and answer; return its link and the thread."""
    coming, address = door.expect(name), door.address

    def work():
        with contextlib.suppress(OSError):  # of a door that closes in the middle of an answer
            serve(address, name, by)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    return coming, thread


def test_many_ask_at_once_over_one_connection_and_each_gets_its_answer():
    async def use(door):
        caller = Caller(door.address)
        big = b"x" * 2**21  # more than one read takes
        return await asyncio.gather(*(caller.ask(n) for n in range(50)), caller.ask(big))

    *answers, big = with_door(use)
    assert answers == [["answer to", n] for n in range(50)]
    assert len(big[1]) == 2**21


def test_a_slow_answer_holds_up_no_other():
    async def use(door):
        caller = Caller(door.address)
        slow = asyncio.create_task(caller.ask("slow"))
        quick = [await caller.ask(n) for n in range(3)]
        waiting = not slow.done()
        slow.cancel()
        await asyncio.wait([slow])
        return waiting, quick

    waiting, quick = with_door(use)
    assert waiting
    assert quick == [["answer to", n] for n in range(3)]


def test_what_the_other_end_raises_is_raised_here():
    async def use(door):
        caller = Caller(door.address)
        with pytest.raises(TooManyFaultsError, match="too many"):
            await caller.ask(TooManyFaultsError("too many"))
        with pytest.raises(RuntimeError, match="Unspeakable"):
            await caller.ask("unspeakable")

    with_door(use)


def test_a_caller_leaves_nothing_open_and_connects_again():
    async def use(door):
        caller, left = Caller(door.address), []
        for n in range(2):
            assert await caller.ask(n) == ["answer to", n]
            while door._ends:  # the door hears of it in its own time
                await asyncio.sleep(0.01)
            left.append(caller._link)
        return left

    assert with_door(use) == [None, None]


def test_nobody_at_the_door():
    async def closed():
        door = Door(answer)
        await door.open("127.0.0.1")
        address = door.address
        door.close()
        with pytest.raises(LinkLostError):
            await Caller(address).ask(1)

    asyncio.run(closed())


def test_one_who_is_expected_is_asked_until_the_door_closes():
    async def use(door):
        coming, thread = served(door, lambda n: n + 1)
        link = await coming
        answers = await asyncio.gather(*(link.ask(n) for n in range(20)))
        return answers, thread

    answers, thread = with_door(use)
    assert answers == list(range(1, 21))
    thread.join(LIMIT_S)
    assert not thread.is_alive()


def test_those_who_wait_hear_when_the_other_end_is_gone():
    async def use(door):
        coming, thread = served(door, lambda _: released.wait(LIMIT_S))
        link = await coming
        waiting = asyncio.create_task(link.ask("for ever"))
        await asyncio.sleep(0)
        link.close()
        with pytest.raises(LinkLostError):
            await waiting
        with pytest.raises(LinkLostError):
            await link.ask("again")
        return thread

    released = threading.Event()
    thread = with_door(use)
    released.set()
    thread.join(LIMIT_S)
    assert not thread.is_alive()


SEEN = []


class Bomb:
    """Is seen when it is unpickled."""

    def __reduce__(self):
        return SEEN.append, ("unpickled",)


def knock(address, said):
    """Say something at a door; return what comes back before it closes."""
    with socket.create_connection((address.host, address.port), timeout=LIMIT_S) as guest:
        guest.sendall(said)
        try:
            return guest.recv(100)
        except ConnectionResetError:
            return b""


def test_nothing_is_unpickled_before_the_key_was_right():
    bomb = pickle.dumps(Bomb())
    frame = len(bomb).to_bytes(8, "big") + bomb
    no_name = (0).to_bytes(8, "big")

    async def use(door):
        key = door.address.key
        said = [bytes(len(key)) + no_name + frame, frame * 3, key[:-1] + b"\0" + no_name + frame]
        return [await asyncio.to_thread(knock, door.address, what) for what in said]

    assert with_door(use) == [b"", b"", b""]
    assert SEEN == []


def test_a_name_that_is_not_expected_is_turned_away():
    async def use(door):
        coming, thread = served(door, lambda n: n)
        await coming
        name = (6).to_bytes(8, "big") + b"worker"  # once is enough
        return await asyncio.to_thread(knock, door.address, door.address.key + name), thread

    said, thread = with_door(use)
    thread.join(LIMIT_S)
    assert said == b""
