"""Free ports of 127.0.0.1 that stay ours.

A port is reserved by a socket that is bound with SO_REUSEADDR and never listens. The server that is started on it also
binds with SO_REUSEADDR, which Linux allows beside a socket that does not listen; while the server is down, nobody else
gets the port: neither a bind to port 0 nor an outgoing connection. The reservation ends with the process.
"""
import socket


class Ports:
    def __init__(self):
        self.held = []

    def take(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("127.0.0.1", 0))
        self.held.append(sock)
        return sock.getsockname()[1]

    def close(self):
        for sock in self.held:
            sock.close()
        self.held.clear()
