"""Waiting runs are taken in turns."""

from __future__ import annotations

import os
import socket
from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from mlagent_gym.sandbox.runtime.turns import Turns, client_of


@given(st.lists(st.integers(0, 3), max_size=30))
def test_no_client_waits_for_more_than_one_turn_of_each_other(clients: list[int]) -> None:
    turns = Turns()
    owners = {}
    for client in clients:
        connection = socket.socket(socket.AF_UNIX)
        owners[connection] = client
        turns.add(client, connection)
    assert len(turns) == len(clients)
    assert set(turns) == set(owners)
    taken = []
    waiting = Counter(clients)
    while turns:
        before = dict(waiting)
        connection = turns.take()
        connection.close()
        taken.append(owners[connection])
        waiting[taken[-1]] -= 1
        for client, count in before.items():
            if count and client != taken[-1]:
                since = taken[::-1].index(client) if client in taken else len(taken)
                assert since <= len(set(clients)) - 1
    assert Counter(taken) == Counter(clients)


def test_a_clients_connections_keep_their_order() -> None:
    turns = Turns()
    pairs = [socket.socketpair() for _ in range(3)]
    for ours, _ in pairs:
        turns.add(1, ours)
    assert [turns.take() for _ in pairs] == [ours for ours, _ in pairs]
    for pair in pairs:
        for end in pair:
            end.close()


def test_a_client_is_the_process_that_connected() -> None:
    ours, theirs = socket.socketpair()
    assert client_of(ours) == os.getpid()
    ours.close()
    theirs.close()
