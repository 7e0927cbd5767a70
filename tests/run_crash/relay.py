"""A relay before the lock service: it knows when what was asked and answered, and can be in the way."""

import http.client
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

TIMEOUT = 20


@dataclass(frozen=True)
class Asked:
    """One request and its answer, each with its moment in nanoseconds of the wall clock."""

    sent: int
    answered: int
    method: str
    path: str
    status: int
    answer: bytes

    @property
    def takes(self):
        """A lock was granted."""
        if self.path == "/lock/1/acquire":
            return self.status == 200 and b'"granted"' in self.answer
        return self.method == "POST" and self.path.startswith("/api/") and self.status < 300

    @property
    def gives(self):
        """A lock was given back, or taken away."""
        if self.path in ("/lock/1/release", "/lock/1/force-release"):
            return self.status == 200 and b'"found":true' in self.answer.replace(b" ", b"")
        return self.method == "DELETE" and self.status < 300


class Relay(ThreadingHTTPServer):
    """A context. `before` is called with each request (method and path) before it is passed on, `after` when its answer is there."""

    daemon_threads = True

    def __init__(self, service):
        super().__init__(("127.0.0.1", 0), Handler)
        self.service = service
        self.asked = []
        self.before = self.after = lambda method, path: None
        threading.Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()

    def handle_error(self, request, client_address):
        """Who has asked is dead; that is what these tests are about."""

    @property
    def url(self):
        """Where it is."""
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    """Passes one request on."""

    def pass_on(self):
        """To the service and back."""
        relay, sent = self.server, time.time_ns()
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        relay.before(self.command, self.path)
        connection = http.client.HTTPConnection(relay.service, timeout=TIMEOUT)
        connection.request(self.command, self.path, body, dict(self.headers))
        answer = connection.getresponse()
        text = answer.read()
        connection.close()
        relay.asked.append(Asked(sent, time.time_ns(), self.command, self.path, answer.status, text))
        relay.after(self.command, self.path)
        self.send_response(answer.status)
        for name, value in answer.getheaders():
            if name.lower() not in ("transfer-encoding", "connection", "date", "server", "content-length"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    do_GET = do_POST = do_PUT = do_DELETE = pass_on  # noqa: N815

    def log_message(self, *_):
        """Nobody reads it."""
