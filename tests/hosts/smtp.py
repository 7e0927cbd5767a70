"""The mail server of the tests as a test sees it: put it on a server host, then read what arrived."""

import email
import email.policy
import json
from pathlib import Path

FOLDER = "/srv/smtp"
PROGRAM = Path(__file__).with_name("smtpd.py")


class Smtp:
    """Real SMTP with STARTTLS (25, 587) and TLS (465); ports 587 and 465 require the login."""

    user, password = "patch", "sesame"

    def __init__(self, host, authority):
        """Install on a host that is off; its init keeps the server running."""
        self.host = host
        certificate, key = authority.issue(host.name, *([host.link.address] if host.link else []))
        host.write(f"{FOLDER}/smtpd.py", PROGRAM.read_text())
        host.write(f"{FOLDER}/cert.pem", certificate.read_text())
        host.write(f"{FOLDER}/key.pem", key.read_text(), 0o600)
        host.write(f"{FOLDER}/users", f"{self.user}:{self.password}\n", 0o600)
        for name in ("new", "tmp"):
            host.path(f"{FOLDER}/{name}").mkdir()
        host.add_service("smtpd", "/usr/bin/python3", f"{FOLDER}/smtpd.py", FOLDER)

    def wait_ready(self, timeout=20):
        """Wait until the ports are open."""
        self.host.wait_for(lambda: is_listening(self.host, 465), timeout, "the mail server")

    def messages(self):
        """What arrived, oldest first, as email messages."""
        files = sorted(self.host.path(f"{FOLDER}/new").iterdir())
        return [email.message_from_bytes(file.read_bytes(), policy=email.policy.default) for file in files]

    def envelopes(self):
        """The log: one record for each MAIL, RCPT and DATA, with port, peer, tls, user, from, to, answer."""
        if not self.host.exists(f"{FOLDER}/log"):
            return []
        return [json.loads(line) for line in self.host.read(f"{FOLDER}/log").splitlines()]

    def wait_for_message(self, predicate=lambda message: True, timeout=30):
        """The first message that the predicate accepts, waited for."""
        return self.host.wait_for(lambda: next(filter(predicate, self.messages()), None), timeout, "a message")

    def fail(self, stage, how):
        """Fail from now on at `ehlo`, `mail`, `rcpt` or `data`: an answer such as `451 busy`, or `drop`, or `hang`."""
        self.host.write(f"{FOLDER}/answer", f"{stage} {how}\n")

    def recover(self):
        """Be a good server again."""
        self.host.remove(f"{FOLDER}/answer")


def is_listening(host, port):
    """A program on a running host listens on a TCP port."""
    return bool(host.run(["ss", "-Hltn", f"sport = :{port}"]).stdout)
