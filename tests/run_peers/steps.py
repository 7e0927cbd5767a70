"""What happens to a host, its files and its lock between two runs of the client, and while its scripts wait."""

import datetime
import signal
import time

from .scenario import FOREMAN, HELD


def other_takes(side, _process=None):
    """Somebody else has the lock."""
    side.number = side.service.take(side.lock, "ops")


def other_gives(side, _process=None):
    """And gives it back."""
    side.service.give(side.lock, "ops", side.number)


def ours_is_taken(side, _process=None):
    """This host has the lock already, taken as its client takes it."""
    peer, path = side.peer, f"/api/v2/locks/{side.lock}"
    if side.kind == FOREMAN:
        certificate = side.service.authority.issue(peer.name)
        status, body = side.service.ask("PUT", f"/api/dlmlocks/{side.lock}/lock", None, None, certificate,
                                        {"Content-Type": "application/json"}.items())
    else:
        status, body = side.service.ask("POST", path, {"acquired_by": peer.name}, who=peer.name)
    if status not in (200, 201):
        raise RuntimeError(f"cannot take {side.lock}: {status} {body}")


def forced(side, _process=None):
    """An administrator takes it away."""
    side.service.force(side.lock, side.peer.name)


def taken_over(side, _process=None):
    """An administrator takes it away, and somebody else has it."""
    forced(side)
    other_takes(side)


def service_dies(side, _process=None):
    """The service is gone."""
    side.service.kill()


def service_comes(side, _process=None):
    """It is there again."""
    side.service.start()


def service_restarts(side, _process=None):
    """It is gone for a moment."""
    service_dies(side)
    service_comes(side)


def service_comes_when_asked(side, _process):
    """It is there again as soon as the client has tried once in vain."""
    if not any(word in side.peer.words() for word in ("retrying", "cannot reach", "cannot connect")):
        return False
    side.service.start()
    return True


def given_when_waited_for(side, _process):
    """The other one gives it back as soon as this host waits for it."""
    if side.peer.name not in side.service.waiting(side.lock):
        return False
    other_gives(side)
    return True


def nothing(_side, _process=None):
    """The script goes on."""


def terminated(_side, process):
    """The client gets TERM, and the script is let go on only after it has ended."""
    process.send_signal(signal.SIGTERM)
    process.wait(20)


def killed(_side, process):
    """The same by KILL; the script is not let go on."""
    process.send_signal(signal.SIGKILL)
    process.wait(20)
    return HELD


def let_go(side, _process=None):
    """What has outlived its client comes to its end."""
    side.settle()


def started_twice(side, _process):
    """A second client on the same host, which ends first."""
    second = side.peer.start()
    side.codes.append(second.wait(20))


def rebooted(side, _process=None):
    """The host has been rebooted."""
    side.peer.reboot()


def state(text):
    """A step: the state file says this."""
    def step(side, _process=None):
        side.peer.set_state(text)
    return step


def open_to_all(phase):
    """A step: everybody may write to a directory of scripts."""
    def step(side, _process=None):
        (side.peer.scripts / f"{phase}.d").chmod(0o777)
    return step


def user_directory_open_to_all(side, _process=None):
    """Everybody may write to a user's directory of scripts."""
    (side.peer.folder / "home/dlm_engine_updater/pre_update.d").chmod(0o777)


def service_comes_after_release(side, process):
    """It is there again once the client has tried to give its lock back, or has ended."""
    if side.service.process or side.peer.end_state() != "lock_release\n":
        return False
    if process.poll() is None:
        time.sleep(1)
        if process.poll() is None:
            side.service.start()
    return True


def service_comes_later(side, _process):
    """It is there again a second after the client began."""
    time.sleep(1)
    side.service.start()


def mended(phase, name="20"):
    """A step: a script that failed is as it should be."""
    def step(side, _process=None):
        path = side.peer.scripts / f"{phase}.d" / name
        path.write_text(f"#!/bin/sh\n. {side.peer.folder}/recorder\nexit 0\n")
        path.chmod(0o755)
    return step


def today(nth=0, days=0):
    """An argument: the constraint that is true today, or another one by so many weeks or days."""
    def argument():
        day = datetime.date.today()
        week = (day.day - 1) // 7
        return f"{(week + nth) % 4 + 1 if nth else week + 1}:{(day + datetime.timedelta(days)).strftime('%a')}"
    return argument
