"""What is killed: a run, or a part of one. Each scene is prepared the same way for its recording and for each of its kills."""

import os
import signal
from dataclasses import dataclass, field
from typing import Callable

from tests.crash import trace

ABANDON = ("--abandon", "--reason", "a test")


@dataclass(frozen=True)
class Scene:
    """What comes before, how patch-run is then started and ends, whether its host is rebooted, and how often the lock may be taken. `part`
    are those of its scripts around which it is killed: what is no other than in a whole run is not killed again."""

    name: str
    prepare: Callable = lambda host: None
    argv: tuple = ()
    code: int = 0
    kernel: bool = False
    takes: int = 1
    part: tuple = (0, None)

    def ready(self, host):
        """Everything before the start that is killed."""
        if self.kernel:
            host.write("kernel", "")
        self.prepare(host)


def failed(host):
    """A script of update.d has said no; next time it will not."""
    host.write("fails", "")
    must(host, 1)
    (host.folder / "fails").unlink()


def taken(host):
    """The same, and an administrator has taken the lock away."""
    failed(host)
    host.force()


def broken(host):
    """The script will say no."""
    host.write("fails", "")


def gone_down(host):
    """Half a run, and the reboot that it has ordered."""
    must(host, 0)
    host.boot()


def unrecorded(host):
    """The driver dies when the service has granted, before it hears of it."""
    def die(method, path):
        if method == "POST":
            host.relay.after = lambda *_: None
            os.kill(host.driver(), signal.SIGKILL)

    host.relay.after = die
    must(host, -signal.SIGKILL)


def unreleased(host):
    """All is done, and the service is away."""
    def hang_up(method, path):
        if method == "DELETE" or path.endswith("/release"):
            raise ConnectionError

    host.relay.before = hang_up
    must(host, 69)
    host.relay.before = lambda *_: None


def stays(host):
    """The script that reboots will say no."""
    host.write("stays", "")


def occupied(host):
    """Another host has the lock."""
    host.occupy()


def torn(host):
    """A script has failed, and then a crash of another program has emptied the state file."""
    failed(host)
    host.write("lib/state", "")


def removed(host):
    """A script has failed, and somebody has deleted the state file, as the updaters' manual says."""
    failed(host)
    (host.folder / "lib/state").unlink()


def must(host, code):
    """A whole start that ends so."""
    if host.run() != code:
        raise RuntimeError(f"cannot prepare: code {host.codes[-1]}, not {code}: {host.errors}\n{host.log()[-1000:]}")


BEGINNING = (0, 3)
UP_TO_THE_LOCK = (0, 6)
SCENES = {scene.name: scene for scene in (
    Scene("down", kernel=True),
    Scene("up", gone_down, ("--after_reboot",), kernel=True),
    Scene("stays", stays, code=1, kernel=True, part=(-4, None)),
    Scene("whole"),
    Scene("again", failed, part=BEGINNING),
    Scene("fails", broken, code=1, part=(-4, None)),
    Scene("taken", taken, takes=2, part=BEGINNING),
    Scene("unrecorded", unrecorded, takes=2, part=UP_TO_THE_LOCK),
    Scene("unreleased", unreleased),
    Scene("occupied", occupied, code=75),
    Scene("torn", torn, part=BEGINNING),
    Scene("removed", removed, part=UP_TO_THE_LOCK),
    Scene("abandon", failed, ABANDON, takes=2),
)}


@dataclass
class Recording:
    """A scene in one dialect, recorded."""

    scene: Scene
    text: str
    ground: object
    calls: list = field(default_factory=list)
    scripts: list = field(default_factory=list)


def record(scene, host):
    """Run a scene under strace."""
    scene.ready(host)
    before = len(host.lines())
    text = host.traced(*scene.argv)
    if host.codes[-1] != scene.code:
        raise RuntimeError(f"cannot record {scene.name}: code {host.codes[-1]}: {host.errors}{host.log()[-2000:]}")
    ran = [line.script for line in host.lines()[before:] if line.word == "begin"]
    scripts = [script for script in ran[slice(*scene.part)] if not script.startswith(("ext_notify", "on_failure"))]
    return Recording(scene, text, host.ground(), calls(text, range(len(ran) + 1)[slice(*scene.part)]), scripts)


def calls(text, part):
    """The calls of the tool before which it is killed, while the number of its scripts is in this part: name, and number among its like."""
    first, seen = trace.read(text)
    found, starts, waited = [], 0, True
    for call in (call for call in seen if call.pid == first):
        # Each script has a leader for its process group. It is at work from its start until the driver has waited once.
        starts += call.name in trace.STARTS
        wait = call.name in ("poll", "ppoll") and not waited
        waited = waited and call.name not in trace.STARTS or wait
        if (wait or call.changes or (call.name == "connect" and "TCP" in call.text)) and starts // 2 in part:
            found.append((call.name, call.number))
    return found
