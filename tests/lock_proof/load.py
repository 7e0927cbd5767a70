"""Clients: they wait, hold for a moment, give back; and each of them vanishes now and then, at every moment there is."""

import asyncio
import contextlib
import itertools
import random
import time

from .pollers import Poller
from .wire import Down

PAUSE = 0.02


class Crowd:
    """All clients of a run."""

    def __init__(self, wire, seed, locks, clients, pollers):
        self.wire, self.recording = wire, wire.recording
        self.chance = random.Random(seed)
        self.ending = False
        self.may_drop_offers = False
        self.counts = dict.fromkeys(("waiting", "offered", "holding", "unanswered", "withdrawn"), 0)
        self.hosts = [Host(self, f"host{n}", locks) for n in range(clients)]
        self.hosts += [Poller(self, n, locks) for n in range(pollers)]

    async def run(self):
        """Until they are told to end, and then until each has given back what it holds."""
        await asyncio.gather(*(host.live() for host in self.hosts))


class Host:
    """One host: the same name and id in all its lives, another boot in each."""

    def __init__(self, crowd, name, locks):
        self.crowd, self.wire, self.name, self.locks = crowd, crowd.wire, name, locks
        self.chance = random.Random(crowd.chance.random())
        self.boots = itertools.count(1)
        self.boot = next(self.boots)

    async def live(self):
        """Runs, one after the other."""
        while not self.crowd.ending:
            several = self.chance.random() < 0.15
            locks = sorted(self.chance.sample(self.locks, 2 if several else 1))
            grants = await self.take(locks) or await self.come_back(locks)
            if grants:
                await self.hold(locks, grants)
            await asyncio.sleep(self.chance.random() * PAUSE)

    async def take(self, locks):
        """Wait until it is granted; None if this host goes away before."""
        offered = False
        while True:
            fate = self.chance.random()
            if offered and self.crowd.may_drop_offers and fate < 0.02:
                return await self.leave(locks, "offered")
            op = await self.acquire(locks, *self.plan(fate))
            if op is None:
                continue
            state = op["answer"].get("state") if op.get("status") == 200 else None
            if state == "granted":
                return op["answer"]["grants"]
            offered = state == "offered"
            if state is None and op.get("status") is None and fate < 0.05:
                return await self.leave(locks, "waiting")

    def plan(self, fate):
        """How long to wait for an answer, and whether to be gone before it comes."""
        if self.crowd.ending:
            return 30, None
        if fate < 0.06:
            return 30, self.chance.random() * 0.5
        if fate < 0.12:
            self.crowd.counts["unanswered"] += 1
            return 30, 0.0
        return (1 if fate < 0.2 else 30), None

    async def acquire(self, locks, wait, vanish):
        """One request; None if nobody listens."""
        claim = {"owner": self.name, "host_id": f"id-{self.name}", "boot": f"b{self.boot}", "locks": locks}
        try:
            op = await self.wire.acquire(claim, wait, vanish=vanish)
        except Down:
            await asyncio.sleep(PAUSE)
            return None
        if op.get("status") not in (200, None):
            await asyncio.sleep(PAUSE)
        return op

    async def leave(self, locks, when):
        """Be gone for a while, and come back in another boot."""
        self.crowd.counts[when] += 1
        self.crowd.recording.add({"left": self.name, "locks": locks, "at": time.monotonic()})
        await self.reboot()

    async def come_back(self, locks):
        """It does not know what became of its last request, and asks; whatever it holds it has to give back."""
        if self.chance.random() < 0.3:
            self.crowd.counts["withdrawn"] += 1
            await self.withdraw(locks)
        return await self.take_again(locks)

    async def withdraw(self, locks):
        """Say that it waits no longer; nobody minds if that is lost."""
        claim = {"owner": self.name, "host_id": f"id-{self.name}", "locks": locks}
        with contextlib.suppress(Down):
            await self.wire.ask({"op": "withdraw", **claim}, "/lock/1/withdraw", claim, 20)

    async def reboot(self):
        """Away, then in another boot."""
        await asyncio.sleep(self.chance.random() * 0.3)
        self.boot = next(self.boots)

    async def hold(self, locks, grants):
        """Hold, perhaps over a reboot, which asks again and is told the same; then give back."""
        await asyncio.sleep(self.chance.random() * PAUSE)
        if self.chance.random() < 0.05:
            self.crowd.counts["holding"] += 1
            await self.reboot()
            again = await self.take_again(locks)
            if again != grants:
                raise AssertionError(f"{self.name} held {grants} and was told {again} after its reboot")
        for grant in self.chance.sample(grants, len(grants)):
            await self.give_back(grant["lock"], grant["number"])

    async def take_again(self, locks):
        """What it holds; the boot in a grant stays that in which it was granted."""
        while True:
            op = await self.acquire(locks, 0, None)
            if op and op.get("status") == 200:
                return op["answer"].get("grants")

    async def give_back(self, lock, number):
        """Until it is answered; now and then without waiting for the first answer."""
        while True:
            vanish = 0.0 if self.chance.random() < 0.05 and not self.crowd.ending else None
            try:
                op = await self.wire.release(self.name, lock, number, vanish=vanish)
            except Down:
                await asyncio.sleep(PAUSE)
                continue
            if op.get("status") == 200:
                return
            await asyncio.sleep(PAUSE)
