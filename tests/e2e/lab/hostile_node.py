#!/usr/bin/python3
"""A TCP server that behaves badly, as a node or a peer might: hostile_node.py MODE PORT. Runs until it is killed."""
import random
import selectors
import socket
import sys

RNG = random.Random(7)
INFO = ("# Server\r\nredis_version:7.0.15\r\nrun_id:%s\r\n# Replication\r\nrole:%s\r\n%s")


def bulk(text):
    data = text.encode("utf-8", "surrogateescape") if isinstance(text, str) else text
    return b"$%d\r\n%s\r\n" % (len(data), data)


def odd_info():
    """An INFO that is well formed as a reply and nonsense inside."""
    lines = ["slave%d:ip=%s,port=%s,state=online,offset=%s,lag=0" % (
        n, RNG.choice(["127.0.0.1", "", "x" * 300, "no such host", "::1", "0.0.0.0"]),
        RNG.choice(["0", "-1", "65536", "99999999999999999999", "abc", "1"]),
        RNG.choice(["0", "-5", "99999999999999999999", ""])) for n in range(200)]
    return INFO % (RNG.choice(["z" * 40, "", "a" * 5000]), RNG.choice(["master", "slave", "", "king"]),
                   "\r\n".join(lines) + "\r\nslave:\r\n:::\r\nmaster_link_status\r\nslave_priority:-3\r\n\0\xff")


# Mode -> what a chunk of input is answered with. None: nothing. b"" : close.
ANSWERS = {
    "silent": lambda data: None,
    "close": lambda data: b"",
    "garbage": lambda data: bytes(RNG.randrange(256) for _ in range(200)),
    "half": lambda data: b"$100\r\nabc",
    "huge-bulk": lambda data: b"$536870912\r\n" + b"x" * 1000,
    "negative": lambda data: b"*-7\r\n$-9\r\n:99999999999999999999999\r\n",
    "deep": lambda data: b"*1\r\n" * 200 + b":1\r\n",
    "many": lambda data: b"*1000000\r\n" + b":1\r\n" * 1000,
    "wrong-type": lambda data: b":1\r\n*0\r\n$-1\r\n+\r\n-\r\n*2\r\n:1\r\n:2\r\n" * 3,
    "error": lambda data: b"-ERR no\r\n" * max(1, data.count(b"*")),
    "odd-info": lambda data: bulk(odd_info()) * max(1, data.count(b"*")),
    "flood": lambda data: b"+PONG\r\n" * 20000,
}


def main():
    mode, port = sys.argv[1], int(sys.argv[2])
    answer = ANSWERS["silent" if mode == "no-accept" else mode]
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(1 if mode == "no-accept" else 100)
    server.setblocking(False)
    print("ready", flush=True)
    poll = selectors.DefaultSelector()
    if mode != "no-accept":
        poll.register(server, selectors.EVENT_READ)
    while True:
        for key, _ in poll.select():
            if key.fileobj is server:
                client, _ = server.accept()
                client.setblocking(False)
                poll.register(client, selectors.EVENT_READ)
                continue
            try:
                data = key.fileobj.recv(1 << 16)
                reply = answer(data) if data else b""
                if reply:
                    key.fileobj.send(reply)
            except BlockingIOError:
                continue
            except OSError:
                reply = b""
            if reply == b"":
                poll.unregister(key.fileobj)
                key.fileobj.close()


if __name__ == "__main__":
    main()
