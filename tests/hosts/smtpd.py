"""The mail server of the tests; runs inside the server guest, on Debian's aiosmtpd.

smtpd.py FOLDER: port 25 offers STARTTLS, 587 requires STARTTLS and a login, 465 is TLS from the first byte and requires
a login. Messages go to FOLDER/new, one file each; what was said about each transaction is a JSON line of FOLDER/log.
FOLDER/answer, while it exists, says how to fail: `STAGE CODE TEXT`, `STAGE drop` or `STAGE hang`, where STAGE is
ehlo, mail, rcpt or data.
"""

import asyncio
import json
import os
import ssl
import sys
import time
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Store:
    """Keeps messages and the log, and fails as the test says."""

    def __init__(self, folder, port):
        self.folder, self.port = folder, port

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        answer = await self.fault("ehlo", server)
        session.host_name = hostname
        return [answer] if answer else responses

    async def handle_MAIL(self, server, session, envelope, address, options):
        answer = await self.fault("mail", server)
        if not answer:
            envelope.mail_from = address
            envelope.mail_options.extend(options)
        return self.logged("mail", session, envelope, answer or "250 OK")

    async def handle_RCPT(self, server, session, envelope, address, options):
        answer = await self.fault("rcpt", server)
        if not answer:
            envelope.rcpt_tos.append(address)
        return self.logged("rcpt", session, envelope, answer or "250 OK")

    async def handle_DATA(self, server, session, envelope):
        answer = await self.fault("data", server)
        name = None if answer else self.keep(envelope.content)
        tls = server.transport.get_extra_info("ssl_object")
        return self.logged("data", session, envelope, answer or f"250 kept as {name}", message=name,
                           tls=tls.version() if tls else None)

    async def fault(self, stage, server):
        """What the control file asks for at this stage, or None for an honest answer."""
        try:
            wanted, what = (self.folder / "answer").read_text().strip().split(" ", 1)
        except FileNotFoundError:
            return None
        if wanted != stage:
            return None
        if what == "hang":
            await asyncio.sleep(86400)
        if what == "drop":
            server.transport.abort()
            return "421 dropped"
        return what

    def keep(self, content):
        """Store a message; its name appears when it is whole."""
        name = f"{time.time_ns()}.{self.port}"
        draft = self.folder / "tmp" / name
        draft.write_bytes(content)
        os.rename(draft, self.folder / "new" / name)
        return name

    def logged(self, stage, session, envelope, answer, **more):
        """Record what was answered, and answer it."""
        user = session.auth_data.login.decode() if session.auth_data else None
        line = {"time": time.time(), "stage": stage, "port": self.port, "peer": session.peer[0], "helo": session.host_name,
                "user": user, "from": envelope.mail_from, "to": list(envelope.rcpt_tos), "answer": answer, **more}
        with open(self.folder / "log", "a", encoding="utf-8") as log:
            log.write(json.dumps(line) + "\n")
        return answer


def authenticator(folder):
    """Accepts the lines NAME:PASSWORD of FOLDER/users."""
    def check(server, session, envelope, mechanism, data):
        if not isinstance(data, LoginPassword):
            return AuthResult(success=False)
        line = f"{data.login.decode()}:{data.password.decode()}"
        known = line in (folder / "users").read_text().splitlines()
        return AuthResult(success=known, handled=known, auth_data=data if known else None)
    return check


async def serve(folder):
    """Listen on the three ports for ever."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    common = {"hostname": os.uname().nodename, "authenticator": authenticator(folder)}
    starttls = {**common, "tls_context": context}
    # With TLS from the first byte aiosmtpd does not know that the line is safe for a password.
    ports = {
        25: (None, starttls),
        587: (None, {**starttls, "require_starttls": True, "auth_required": True}),
        465: (context, {**common, "auth_required": True, "auth_require_tls": False}),
    }
    loop = asyncio.get_running_loop()
    for port, (tls, options) in ports.items():
        await loop.create_server(lambda port=port, options=options: SMTP(Store(folder, port), loop=loop, **options),
                                 port=port, ssl=tls)
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1])))
