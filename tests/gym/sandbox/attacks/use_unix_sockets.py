"""Talk to sockets of the same user, by path and abstract."""

import socket

from breach import attempt, breach, victim

for address in (victim["socket"], "\0" + victim["abstract"]):
    for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
        with attempt(), socket.socket(socket.AF_UNIX, kind) as s:
            s.connect(address)
            breach(f"connected to {address!r}")
with attempt():
    a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
    a.sendto(b"x", victim["datagrams"])
    breach("sent a datagram to a path")
