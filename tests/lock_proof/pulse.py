"""How quickly the service hears, measured beside its clients by one who wants nothing of it."""

import asyncio
import time

EVERY = 0.05
# A machine that is busy elsewhere lets a request lie about. Two that were sent further apart than the checker's measure stand in their
# order only while each is heard at once: half of that measure leaves room for what this one did not see.
QUICK = 0.15


class Pulse:
    """Asks again and again, and records when an answer was slow or did not come: in what order others were heard then nobody knows."""

    def __init__(self, wire):
        self.wire, self.recording = wire, wire.recording

    async def run(self):
        """Until it is cancelled."""
        while True:
            began = time.monotonic()
            while not await self.is_heard():
                await asyncio.sleep(EVERY)
            if time.monotonic() - began > QUICK:
                self.recording.add({"slow": [began, time.monotonic()]})
            await asyncio.sleep(EVERY)

    async def is_heard(self):
        """Whether it answers: a connection of its own, the secret, a look at the store, as for everybody."""
        try:
            await self.wire.get("/lock/1/history?limit=1")
        except (OSError, ValueError, IndexError, RuntimeError, asyncio.IncompleteReadError, asyncio.TimeoutError):
            return False
        return True
