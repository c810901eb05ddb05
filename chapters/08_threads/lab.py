"""Threads: who waits for whom, and what it costs to wait."""

import io
import logging
import select
import socket
import sys
import threading
import time
from http.client import HTTPConnection
from pathlib import Path
from unittest.mock import patch

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
from asgi_ref.connection import Connection, Signal
from asgi_ref.listen import listen
from asgi_ref.threads import Conversation, Server
from asgi_ref.wsgi import Gateway, about_connection, make_environ

# Seconds until a wait is an error; who holds a debugger may take longer.
PATIENCE = None if sys.gettrace() else 20
GLANCE = 1.0  # seconds until a client says that it hears nothing
FILM = b"POST /film HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\n"
TOLD = about_connection()
PLAIN = [("Content-Type", "text/plain")]

logging.getLogger("asgi_ref").setLevel(logging.CRITICAL)
news, waiting = threading.Event(), threading.Semaphore(0)


def app(environ, start_response):
    """Answer with the path; /wait needs news first; no uploads."""
    path = environ["PATH_INFO"]
    if path == "/wait":
        waiting.release()  # for the lab: somebody waits now
        news.wait(PATIENCE)
    elif path == "/news":
        news.set()
    upload = environ["REQUEST_METHOD"] == "POST"
    status = "413 Content Too Large" if upload else "200 OK"
    start_response(status, PLAIN[:])
    return [path.encode()]


# The server that fails.


def serve_one_by_one(sock, clients):
    """Answer all requests of a client, then those of the next."""
    for _ in range(clients):
        client, _ = sock.accept()
        with client:
            outlet = Outlet(client)
            while request := next_request(client, outlet.connection):
                environ = make_environ(request, io.BytesIO(), TOLD)
                Gateway(outlet).run(app, environ)
                outlet.connection.next_cycle()


def next_request(client, connection):
    """Read until there is a request; None when the client has left."""
    while (event := connection.next_event()) is Signal.NEED_DATA:
        connection.receive_data(client.recv(65536))
    return None if event is Signal.CLOSED else event


class Outlet:
    """Where the gateway of chapter 07 puts what is to be sent."""

    def __init__(self, client):
        self.client, self.connection = client, Connection()

    def start(self, response, headers, whole):
        """Send the head."""
        self.client.sendall(self.connection.send_response(response, whole))

    def write(self, data):
        """Send a piece of the body."""
        self.client.sendall(self.connection.send_data(data))

    def end(self):
        """Send the body's end."""
        self.client.sendall(self.connection.send_data(b"", more=False))


# The clients.


said = []  # printed by main(), so that a debugger's prompt is left alone


def say(*words):
    """Note what a client has to say."""
    said.append(" ".join(map(str, words)))


class Client:
    """Somebody with a browser, who says what happens."""

    def __init__(self, name, address):
        self.name, self.waits = name, False
        self.http = HTTPConnection(*address, PATIENCE)
        self.http.connect()

    def ask(self, path):
        """Send a request."""
        say(self.name, "asks for", path)
        self.http.request("GET", path)
        self.waits = True

    def look(self, patience=GLANCE):
        """Say what came, if an answer is due."""
        if self.waits and select.select([self.http.sock], [], [], patience)[0]:
            answer = self.http.getresponse()
            say(" ", self.name, "gets", answer.status, answer.reason)
            answer.read()
            self.waits = False
        elif self.waits:
            say(" ", self.name, "hears nothing")

    def hear(self):
        """Wait for the answer, and say what it is."""
        self.look(PATIENCE)

    def leave(self):
        """Close the connection."""
        say(self.name, "leaves")
        self.http.close()


def anna_and_ben(address):
    """Anna needs something slow, Ben something quick."""
    anna, ben = Client("Anna", address), Client("Ben", address)
    anna.ask("/wait")
    waiting.acquire()
    ben.ask("/hello")
    ben.look()
    say("news!")
    news.set()
    anna.hear()
    ben.look()
    anna.leave()
    ben.hear()
    ben.leave()


def while_clients(clients, *arguments):
    """Start the clients in a thread; this one is for the server."""
    news.clear()
    thread = threading.Thread(target=clients, args=arguments, daemon=True)
    thread.start()
    return thread


def serving(clients, **settings):
    """Serve in this thread until the clients have finished."""
    sock, server = listen(port=0), Server(app, **settings)
    address = sock.getsockname()

    def run():
        try:
            clients(address, server)
        finally:
            server.stop()

    thread = while_clients(run)
    server.serve(sock)
    thread.join()
    until(lambda: not conversing())


def conversing():
    """Return how many threads of servers there are."""
    return sum("(_run)" in t.name for t in threading.enumerate())


def until(condition):
    """Wait for something that comes soon."""
    while not condition():
        time.sleep(0.001)


# The parts.


def one_by_one():
    """Let Anna and Ben come to the server that fails."""
    with listen(port=0) as sock:
        thread = while_clients(anna_and_ben, sock.getsockname())
        serve_one_by_one(sock, clients=2)
        thread.join()


def a_thread_each():
    """The same two, with the module."""
    serving(lambda address, server: anna_and_ben(address), threads=2)


def no_thread_left():
    """Two wait for the news that a third one brings."""

    def clients(address, server):
        anna, ben = Client("Anna", address), Client("Ben", address)
        anna.ask("/wait")
        ben.ask("/wait")
        waiting.acquire()
        waiting.acquire()
        cara = Client("Cara", address)
        cara.ask("/news")
        cara.hear()
        anna.look()
        news.set()  # or nobody would ever get home

    serving(clients, threads=2)


def memory():
    """Print what Linux says of this process."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(("VmSize", "VmRSS", "Threads")):
            say(line)


def two_hundred(measure=lambda: None):
    """Two hundred wait, and there is one thread more."""

    def clients(address, server):
        measure()
        waiters = [HTTPConnection(*address, PATIENCE) for _ in range(200)]
        for waiter in waiters:
            waiter.request("GET", "/wait")
            waiting.acquire()
        measure()
        say(conversing(), "threads for 200 clients")
        cara = Client("Cara", address)
        cara.ask("/news")
        cara.hear()
        answers = [waiter.getresponse() for waiter in waiters]
        say(sum(a.status == 200 for a in answers), "of them have news")
        for waiter in waiters:
            waiter.close()

    more_files()
    serving(clients, threads=201)


def more_files():
    """Allow as many sockets as that takes: macOS begins with 256."""
    if sys.platform != "win32":
        import resource

        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < 1024:
            resource.setrlimit(resource.RLIMIT_NOFILE, (1024, hard))


def room():
    """Anna has her answer and stays; there is one thread."""

    def clients(address, server):
        anna = Client("Anna", address)
        anna.ask("/hello")
        anna.hear()
        until(lambda: [c for c in list(server.conversations) if c.idle])
        ben = Client("Ben", address)
        ben.ask("/hello")
        ben.hear()
        say("  Anna reads", anna.http.sock.recv(100))

    serving(clients, threads=1)


def stalled():
    """Dora stops in the middle of a head."""

    def clients(address, server):
        with socket.create_connection(address, PATIENCE) as dora:
            dora.sendall(b"GET / HTTP/1.1\r\nHo")
            say("Dora sends half a head, and no more")
            say("  Dora gets", dora.recv(1000).splitlines()[0])

    serving(clients, threads=1, timeout_header=0.1)


def connected():
    """Return a client's socket, and the server's end of it."""
    with listen(port=0) as sock:
        client = socket.create_connection(sock.getsockname(), PATIENCE)
        return client, sock.accept()[0]


def upload(client):
    """Send all of a film, then read the answer: what most clients do."""
    with client:
        try:
            for _ in range(15):
                client.sendall(bytes(65536))
            client.sendall(bytes(1_000_000 - 15 * 65536))
            say("Emil sent all of it, and gets", client.recv(100)[9:12])
        except ConnectionError:
            say("Emil's send() fails; he gets no answer")


def hang_up():
    """Refuse an upload and close at once."""
    client, ours = connected()
    client.sendall(FILM + bytes(1000))
    outlet = Outlet(ours)
    request = next_request(ours, outlet.connection)
    Gateway(outlet).run(app, make_environ(request, io.BytesIO(), TOLD))
    ours.close()
    upload(client)


def in_stages():
    """Refuse the same upload as the module does."""
    client, ours = connected()
    client.sendall(FILM)
    thread = while_clients(upload, client)
    Conversation(Server(app), ours, ours.getpeername()).run()
    thread.join()


# What the page plays: a client in memory, so that it is the same each time.

VARYING = {"deadline"}


class Scripted:
    """The server's end of a connection whose client follows a script."""

    def __init__(self, pieces, wire):
        self.pieces, self.wire, self.open = pieces, wire, True

    def recv(self, size):
        """Return the next piece; after the last one time passes."""
        if self.pieces:
            self.wire("client", self.pieces[0])
            return self.pieces.pop(0)
        if self.open:  # here a real one would wait, until the sweep
            self.wire("the thread that accepts", "time is up")
            self.conversation.expire()
        return b""

    def shutdown(self, how):
        """End one direction."""
        self.open = False

    def sendall(self, data):
        """Take what the server sends."""
        self.wire("server", data)

    def getsockname(self):
        """Return a unix socket's address."""
        return "/run/app.sock"

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.open = False


def walk(wire=print):
    """Let a client stop in the middle of its head."""
    sock = Scripted([b"GET /he"], wire)
    server = Server(app, access_log=False, date_header=False)
    sock.conversation = Conversation(server, sock, None)
    with patch("time.time", return_value=0):
        sock.conversation.run()


PARTS = one_by_one, a_thread_each, no_thread_left, two_hundred, room
PARTS += stalled, hang_up, in_stages


def main(parts):
    """Print one part after the other."""
    for part in parts:
        said.clear()
        part()
        print(f"== {part.__name__.replace('_', ' ')} ==")
        print("\n".join(said))


def cost():
    """Let two hundred come, and look at the memory."""
    two_hundred(memory)


if __name__ == "__main__":
    main([cost] if sys.argv[1:] == ["cost"] else PARTS)
