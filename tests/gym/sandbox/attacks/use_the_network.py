"""Use the network in every way, loopback included."""

import socket

from breach import attempt, breach, victim


def tried(what, action):
    with attempt():
        if action() is not False:
            breach(what)


def tcp(host):
    with socket.create_connection((host, victim["port"]), timeout=2):
        return True


tried("tcp loopback", lambda: tcp("127.0.0.1"))
tried("tcp host", lambda: tcp(socket.gethostbyname("localhost")))


def udp():
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        s.sendto(b"x", ("127.0.0.1", victim["port"]))


tried("udp", udp)


def listen():
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen()


tried("listen", listen)


def ipv6():
    with socket.socket(socket.AF_INET6) as s:
        s.bind(("::", 0))


tried("ipv6", ipv6)


def netlink():
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 0) as s:
        s.bind((0, 0))


tried("netlink", netlink)


def raw():
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, 1):
        pass


tried("raw", raw)


def packet():
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW):
        pass


tried("packet", packet)
