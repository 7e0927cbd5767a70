"""A disk is full: at the start, in a run, for the log."""

import contextlib
import shutil
import subprocess

from tests.hosts.wait import wait_for

from ..host import DIALECTS
from ..scenes import must
from .night import check, goes_on, night


class Disk:
    """A small file system in place of one of the host's directories; a context."""

    def __init__(self, host, place):
        self.host, self.place = host, host.folder / place

    def __enter__(self):
        kept = self.place.with_name("kept")
        shutil.copytree(self.place, kept)
        # A host sees what was mounted when it booted.
        self.host.power_cut()
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=600k,mode=0755", "run-crash", self.place], check=True)
        shutil.copytree(kept, self.place, dirs_exist_ok=True)
        self.host.boot()
        return self

    def fill(self):
        """Nothing fits any more."""
        with contextlib.suppress(OSError), open(self.place / "filler", "wb", buffering=0) as file:
            while file.write(b"\0" * 4096):
                pass

    def empty(self):
        """There is room again."""
        (self.place / "filler").unlink()

    def __exit__(self, *_):
        self.host.power_cut()
        subprocess.run(["umount", self.place], check=True)
        self.host.boot()


@night(*DIALECTS)
def a_full_disk_begins_nothing_that_cannot_be_recorded(host):
    """No room for the record at all."""
    with Disk(host, "lib") as disk:
        disk.fill()
        for _ in range(2):
            check(host.run() == 1, f"code {host.codes[-1]}: {host.errors}")
            check("No space left on device" in host.errors and f"{host.folder}/lib/" in host.errors, f"it says {host.errors}")
        ran = {line.phase for line in host.lines()} - {"needs_update", "ext_notify"}
        check(not ran, f"{ran} ran without a record")
        check(not any(asked.takes for asked in host.relay.asked), "the lock was taken without a record")
        disk.empty()
        goes_on(host)


@night()
def a_disk_that_fills_up_in_a_run_stops_it_where_it_is(host):
    """In each phase: what was set aside takes the record, the state can't be replaced; with room the run goes on, and repeats nothing."""
    with Disk(host, "lib") as disk:
        for script in ("pre_update.d/20-stop", "update.d/10-packages", "post_update.d/20-check"):
            (host.folder / "patched").unlink(missing_ok=True)
            before = len(host.lines())
            host.hold(script)
            process = host.start()
            wait_for(lambda script=script: host.is_at(script), 20, script)
            disk.fill()
            host.let_go(script)
            code = host.finish(process)
            check(code == 1 and "No space left on device" in host.errors, f"full in {script}: code {code}: {host.errors}")
            phase = script.partition(".d")[0]
            check(host.state() in (f"{phase}\n",), f"full in {script}: the state is {host.state()!r}")
            check(host.run() == 1, f"full in {script}: the next start ends with {host.codes[-1]}")
            disk.empty()
            must(host, 0)
            ran = [line.script for line in host.lines()[before:] if line.word == "begin"]
            check(ran.count(script) == 1, f"{script} ran {ran.count(script)} times")
        goes_on(host, takes=3)


@night()
def a_full_disk_for_the_log_stops_nobody_and_is_told(host):
    """What is lost is counted, and told when there is room."""
    with Disk(host, "log") as disk:
        disk.fill()
        check(host.run() == 0, f"code {host.codes[-1]}: {host.errors}")
        check("lines of the log could not be written" in host.errors, f"it says {host.errors}")
        disk.empty()
        goes_on(host)
