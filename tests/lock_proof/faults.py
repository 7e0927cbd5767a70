"""What goes wrong around a service that is loaded."""

import asyncio
import os
import random
import signal
import time
from pathlib import Path

from .wire import Wire

# Long enough for somebody to be offered something, to wait, or to be in the middle of a write.
LIFE = 0.25
QUIET_EVERY, QUIET = 50, 3.0


class Kills:
    """The service is killed over and over at random moments, and stopped for a while now and then; in between it is left in peace,
    so that queues grow and are worked off in their order."""

    def __init__(self, lockd, crowd, seed, kills, drop_at_end):
        self.lockd, self.crowd, self.left, self.drop_at_end = lockd, crowd, kills, drop_at_end
        self.wire = Wire(lockd.address, crowd.recording)
        self.chance = random.Random(f"{seed}/kills")
        self.kills = self.stops = 0

    async def run(self):
        """Until all are done."""
        while self.left:
            self.crowd.may_drop_offers = True
            await asyncio.sleep(self.chance.expovariate(1 / LIFE))
            if self.chance.random() < 0.1:
                await self.stop()
            if self.chance.random() < 0.2:
                await self.look()
            self.kill()
            if self.kills % QUIET_EVERY == 0 or not self.left:
                # An offer that nobody accepts stands for 30 s, in peace; then it must be the next one's.
                self.crowd.may_drop_offers = self.drop_at_end and not self.left
                await asyncio.sleep(QUIET)

    def kill(self):
        """Kill it and start it again on what it left; the clients find that out by themselves."""
        self.crowd.recording.add({"killed": self.lockd.kill()})
        self.kills, self.left = self.kills + 1, self.left - 1
        if not self.lockd.start():
            raise AssertionError(f"it does not start again: {self.lockd.said()[-2000:]}")

    async def stop(self):
        """SIGSTOP, and SIGCONT after a while."""
        began = time.monotonic()
        self.lockd.signal(signal.SIGSTOP)
        await asyncio.sleep(self.chance.random() * 1.5)
        self.lockd.signal(signal.SIGCONT)
        self.stops += 1
        self.crowd.recording.add({"stopped": [began, time.monotonic()]})

    async def look(self):
        """What the history says now must be in it at the end."""
        page = await self.wire.get("/lock/1/history?limit=20")
        self.crowd.recording.add({"seen": page["events"]})


class FullDisk:
    """The file system of the store has no room for a while, again and again. Nothing is granted then, and nothing is lost."""

    def __init__(self, folder, seed, times):
        self.ballast = Path(folder) / "ballast"
        self.chance = random.Random(f"{seed}/disk")
        self.times = times

    async def run(self):
        """Until all are done."""
        for _ in range(self.times):
            await asyncio.sleep(self.chance.random())
            self.fill()
            await asyncio.sleep(self.chance.random())
            self.ballast.unlink()
        await asyncio.sleep(1.0)

    def fill(self):
        """Take what is left, to the last byte."""
        descriptor = os.open(self.ballast, os.O_WRONLY | os.O_CREAT, 0o600)
        try:
            for size in (1 << 16, 1 << 12, 1):
                try:
                    while os.write(descriptor, b"x" * size):
                        pass
                except OSError:
                    pass
        finally:
            os.close(descriptor)
