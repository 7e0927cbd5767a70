"""One request and its answer, as the client sees it, with the times: HTTP by hand, so that a client can vanish at every moment."""

import asyncio
import json
import time

from .daemon import PORT, SECRET


class Down(Exception):
    """Nobody listens; nothing was sent."""


class Wire:
    """Requests to one service; each goes on a connection of its own and into the recording."""

    def __init__(self, address, recording):
        self.address, self.recording = address, recording

    async def ask(self, op, path, body, patience, vanish=None, method="POST", client="all"):
        """Send a request and note what comes of it in `op`: the status, or None if there was no answer. With `vanish` the
        connection is closed so many seconds after sending."""
        try:
            reader, writer = await asyncio.open_connection(self.address, PORT)
        except OSError as error:
            raise Down from error
        try:
            op["sent"] = time.monotonic()
            self.recording.add(op)
            writer.write(request(method, path, body, self.address, client))
            status, answer = await asyncio.wait_for(receive(reader), patience if vanish is None else vanish)
            op |= {"answered": time.monotonic(), "status": status, "answer": answer}
            return status
        except (OSError, ValueError, IndexError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return None
        finally:
            writer.close()
            if "answered" not in op:
                op["closed"] = time.monotonic()

    async def get(self, path):
        """The answer to a question that is no part of the recording."""
        reader, writer = await asyncio.open_connection(self.address, PORT)
        try:
            writer.write(request("GET", path, None, self.address, "all"))
            status, answer = await asyncio.wait_for(receive(reader), 30)
        finally:
            writer.close()
        if status != 200:
            raise RuntimeError(f"{path}: {status}: {answer}")
        return answer

    async def acquire(self, claim, wait, **more):
        """Ask for locks."""
        op = {"op": "acquire", "owner": claim["owner"], "host": claim["host_id"], "locks": claim["locks"], "wait": wait}
        await self.ask(op, "/lock/1/acquire", {**claim, "wait": wait}, wait + 20, **more)
        return op

    async def release(self, owner, lock, number, **more):
        """Give a grant back."""
        body = {"owner": owner, "lock": lock, "number": number}
        op = {"op": "release", **body}
        await self.ask(op, "/lock/1/release", body, 20, **more)
        return op

    async def history(self):
        """All of it, the oldest first."""
        events, before = [], ""
        while True:
            page = (await self.get(f"/lock/1/history?limit=1000{before}"))["events"]
            if not page:
                return events[::-1]
            events += page
            before = f"&before={page[-1]['id']}"

    async def held(self):
        """Who holds what."""
        locks = (await self.get("/lock/1/locks"))["locks"]
        return {lock["lock"]: [grant["number"] for grant in lock["holders"]] for lock in locks}


def request(method, path, body, host, client):
    """The bytes of a request."""
    text = b"" if body is None else json.dumps(body).encode()
    head = (f"{method} {path} HTTP/1.1\r\nhost: {host}\r\nx-secret-id: {client}\r\nx-secret: {SECRET}\r\n"
            f"content-type: application/json\r\nconnection: close\r\ncontent-length: {len(text)}\r\n\r\n")
    return head.encode() + text


async def receive(reader):
    """Status and body of an answer."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
    length = int(head.split("content-length:", 1)[1].split("\r\n", 1)[0])
    body = await reader.readexactly(length)
    return int(head[9:12]), json.loads(body)
