"""A patch-lockd of the test's own, over TLS, and what its administrator and strangers may ask it."""

import base64
import hashlib
import http.client
import json
import signal
import socket
import ssl
import subprocess
from urllib.parse import quote

from tests import site
from tests.hosts.error import LabError
from tests.hosts.wait import wait_for

ADDRESS = "127.0.0.1"
# As the clients need it who sleep for at most a second and a half here.
POLL_INTERVAL = "5s"


class Service:
    """The service, with a credential for each host, known by a secret and by a certificate; `ops` may do everything."""

    def __init__(self, folder, authority, hosts):
        self.folder, self.authority = folder, authority
        with socket.socket() as probe:
            probe.bind((ADDRESS, 0))
            self.port = probe.getsockname()[1]
        certificate, key = authority.issue("lock.example", ADDRESS)
        key.chmod(0o600)
        lines = ["[lockd]", f"listen = {ADDRESS}:{self.port}", f"store = {folder}/store/locks.db",
                 f"certificate = {certificate}", f"key = {key}", f"client_ca = {authority.certificate}",
                 "[lock *]", f"poll_interval = {POLL_INTERVAL}"]
        for name in hosts:
            lines += section(name, name, "*")
        lines += section("ops", "*", "*") + ["admin = yes"]
        self.config = folder / "lockd.ini"
        self.config.write_text("\n".join(lines) + "\n")
        self.config.chmod(0o600)
        self.process = None

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.kill()

    @property
    def url(self):
        """Where it is, without a slash at the end."""
        return f"https://{ADDRESS}:{self.port}"

    def start(self):
        """Start it, and wait until it listens."""
        program = site.tools() / "usr/sbin/patch-lockd"
        self.process = subprocess.Popen([program, "--config", self.config], stdout=subprocess.PIPE, text=True)
        line = self.process.stdout.readline()
        if not line.startswith("listening on "):
            raise LabError(f"patch-lockd does not start: {line!r}")

    def kill(self):
        """End it where it stands."""
        if self.process:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait()
            self.process.stdout.close()
            self.process = None

    def ask(self, method, path, body=None, who="ops", certificate=None, headers=()):
        """(status, body) of one request: as the client with that secret, or with that certificate and key."""
        context = ssl.create_default_context(cafile=self.authority.certificate)
        if certificate:
            context.load_cert_chain(*certificate)
        head = dict(headers)
        if who:
            head["Authorization"] = "Basic " + base64.b64encode(f"{who}:{secret_of(who)}".encode()).decode()
        connection = http.client.HTTPSConnection(ADDRESS, self.port, context=context, timeout=20)
        try:
            connection.request(method, path, None if body is None else json.dumps(body), head)
            answer = connection.getresponse()
            return answer.status, json.loads(answer.read())
        finally:
            connection.close()

    def done(self, method, path, body=None):
        """The body of a request of the administrator's that must succeed."""
        status, answer = self.ask(method, path, body)
        if status != 200:
            raise LabError(f"{method} {path}: {status} {answer}")
        return answer

    def holders(self, lock):
        """The owners of the grants of a lock."""
        return [holder["owner"] for holder in self.done("GET", f"/lock/1/locks/{quote(lock)}")["holders"]]

    def waiting(self, lock):
        """Who waits for a lock, in order."""
        return [waiter["owner"] for waiter in self.done("GET", f"/lock/1/locks/{quote(lock)}")["queue"]]

    def take(self, lock, owner):
        """Take a free lock natively; the number of the grant."""
        ask = {"owner": owner, "host_id": owner, "boot": "b1", "locks": [lock]}
        answer = self.done("POST", "/lock/1/acquire", ask)
        if answer["state"] != "granted":
            raise LabError(f"lock {lock} is not free: {answer}")
        return answer["grants"][0]["number"]

    def give(self, lock, owner, number):
        """Give it back."""
        self.done("POST", "/lock/1/release", {"owner": owner, "lock": lock, "number": number})

    def force(self, lock, owner):
        """Take it from its owner."""
        order = {"lock": lock, "owner": owner, "by": "ops", "reason": "a test"}
        if not self.done("POST", "/lock/1/force-release", order)["found"]:
            raise LabError(f"{owner} does not hold lock {lock}")

    def history(self, lock):
        """(event, owner, protocol) of a lock, the oldest first."""
        events = self.done("GET", f"/lock/1/history?lock={quote(lock)}&limit=1000")["events"]
        return [(event["event"], event["owner"], event.get("protocol")) for event in reversed(events)]

    def wait_for(self, predicate, what, timeout=30):
        """Until the predicate is true."""
        return wait_for(predicate, timeout, what)


def secret_of(name):
    """A secret that can be told from the name: nobody but the test is there to guess it."""
    return hashlib.sha256(f"secret of {name}".encode()).hexdigest()


def section(name, owners, locks):
    """The section of a client."""
    kept = hashlib.sha256(secret_of(name).encode()).hexdigest()
    return [f"[client {name}]", f"secret_sha256 = {kept}", f"certificate = {name}", f"owners = {owners}", f"locks = {locks}"]
