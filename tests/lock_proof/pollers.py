"""Clients of a protocol that knows neither waiting nor numbers (dlmengine, v2): they come again until the lock is theirs, and stand
in the same queue as everybody. Like the real ones they look first whether they have it already."""

import asyncio
import random
import time

from .daemon import SUM
from .wire import Down

# Well inside the interval that the service is told to expect.
EVERY = 0.3


def sections(count):
    """Their credentials: each may act for itself alone, for a release says nothing of the owner."""
    return "".join(f"[client {name(n)}]\nsecret_sha256 = {SUM}\nowners = {name(n)}\nlocks = *\n" for n in range(count))


def name(number):
    """Owner and credential of one of them."""
    return f"poller{number}.example.org"


class Poller:
    """One of them."""

    def __init__(self, crowd, number, locks):
        self.crowd, self.wire, self.name, self.locks = crowd, crowd.wire, name(number), locks
        self.chance = random.Random(crowd.chance.random())

    async def live(self):
        """Take, hold, give back."""
        while not self.crowd.ending:
            lock = self.chance.choice(self.locks)
            await self.take(lock)
            await asyncio.sleep(self.chance.random() * 0.02)
            await self.give_back(lock)

    async def take(self, lock):
        """Until it is ours."""
        while True:
            if await self.is_ours(lock):
                return
            vanish = 0.0 if self.chance.random() < 0.05 and not self.crowd.ending else None
            op = await self.ask("poll", "POST", lock, {"acquired_by": self.name}, vanish)
            if op.get("status") == 201:
                return
            await asyncio.sleep(EVERY * self.chance.random())

    async def is_ours(self, lock):
        """A look."""
        op = await self.ask("show", "GET", lock, None)
        return op.get("status") == 200 and op["answer"]["acquired_by"] == self.name

    async def give_back(self, lock):
        """Until it is not ours any more."""
        while True:
            op = await self.ask("unpoll", "DELETE", lock, None)
            if op.get("status") in (200, 404):
                return
            await asyncio.sleep(EVERY * self.chance.random())

    async def ask(self, what, method, lock, body, vanish=None):
        """One request."""
        op = {"op": what, "owner": self.name, "lock": lock, "at": time.monotonic()}
        try:
            await self.wire.ask(op, f"/api/v2/locks/{lock}", body, 20, vanish, method=method, client=self.name)
        except Down:
            await asyncio.sleep(EVERY / 10)
        return op
