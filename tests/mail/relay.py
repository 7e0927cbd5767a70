"""A real SMTP server (aiosmtpd) that can be told to misbehave. Prints its port, then serves until it is ended.

Every message that it takes becomes a file NNN.eml in --dir, with the envelope in X-Test headers before it.
"""

import argparse
import asyncio
import pathlib
import ssl

from aiosmtpd.smtp import SMTP, AuthResult, LoginPassword


class Box:
    """Takes mail. Recipients named later@ and refused@ get the answer that their name says."""

    def __init__(self, args):
        self.args = args

    async def handle_RCPT(self, server, session, envelope, address, options):
        name = address.split("@")[0]
        if name == "later":
            return "451 4.2.1 come back later"
        if name == "refused":
            return "550 5.1.1 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        answer = {"451": "451 4.3.0 try again", "554": "554 5.7.1 not wanted"}.get(self.args.behave)
        if answer:
            return answer
        box = pathlib.Path(self.args.dir)
        text = f"X-Test-From: {envelope.mail_from}\r\nX-Test-To: {' '.join(envelope.rcpt_tos)}\r\n"
        text += f"X-Test-Tls: {server.transport.get_extra_info('sslcontext') is not None}\r\nX-Test-Login: {session.authenticated}\r\n"
        draft = box / "draft"
        draft.write_bytes(text.encode() + envelope.original_content)
        draft.rename(box / f"{len(list(box.glob('*.eml'))):03}.eml")
        if self.args.behave == "drop-after-data":
            server.transport.abort()
        return "250 OK taken"


class Relay(SMTP):
    """With one vice more: it can break off in the middle of a mail."""

    drop_in_data = False

    async def smtp_DATA(self, arg):
        if not self.drop_in_data:
            return await super().smtp_DATA(arg)
        await self.push("354 go on")
        await self._reader.readline()
        self.transport.abort()


async def serve(args):
    context = None
    if args.tls != "none":
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(args.cert, args.key)

    def authenticate(server, session, envelope, mechanism, data):
        right = isinstance(data, LoginPassword) and data == LoginPassword(b"fleet", args.password.encode())
        return AuthResult(success=right, handled=right or None)

    def session():
        relay = Relay(
            Box(args),
            hostname="relay.test",
            tls_context=context if args.tls == "starttls" else None,
            require_starttls=args.tls == "starttls",
            authenticator=authenticate if args.password else None,
            auth_required=bool(args.password),
            auth_require_tls=args.tls == "starttls",
            loop=asyncio.get_running_loop(),
        )
        relay.drop_in_data = args.behave == "drop-in-data"
        return relay

    loop = asyncio.get_running_loop()
    tls = context if args.tls == "implicit" else None
    server = await loop.create_server(session, "127.0.0.1", args.port, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


parser = argparse.ArgumentParser()
parser.add_argument("--dir", required=True)
parser.add_argument("--port", type=int, default=0)
parser.add_argument("--tls", choices=["none", "starttls", "implicit"], default="none")
parser.add_argument("--cert")
parser.add_argument("--key")
parser.add_argument("--password")
parser.add_argument("--behave", default="well")
asyncio.run(serve(parser.parse_args()))
