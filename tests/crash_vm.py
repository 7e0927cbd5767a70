"""Power losses in the middle of a patch run, on virtual machines that really lose what was not flushed.

Each round makes a host that is armed, boots it, lets it tick as cron would, takes its power away at a chosen state and a
random moment behind it, looks at the disk, boots again, and waits until it rests. See `crash_judge` for what must be
true then. A round is made from the seed and its number alone, but an emulator is no clockwork: the same round hits the
same state, not the same instruction.
"""

import argparse
import json
import random
import sys
import tempfile
import time
from pathlib import Path

from . import crash_judge as judge
from . import site
from .hosts import packages, vm
from .hosts.error import LabError
from .hosts.lab import Lab

# A state of the run, or a boot, and for how many seconds behind it the power may go. A maintenance boot is boot 2.
MOMENTS = (("fetching", 4), ("staged", 4), ("ordered", 8), ("boot 2", 25), ("starting", 2), ("installing", 8),
           ("installed", 6), ("boot 3", 25), ("confirming", 3), ("ordered", 30))
NORMAL = {"sysv": "2", "systemd": "graphical.target"}
NAMES = ("tiny", "small", "little")
TICK = """#!/bin/sh
exec >/dev/console 2>&1
while :; do grab-patch; patchit; patchit --finish; patch-mail deliver; sleep 1; done
"""
# Says each new state on the console. At every level: in the maintenance boot too.
WATCH = """#!/usr/local/lib/vm/busybox sh
last=0
while :; do
    n=0 state=
    if [ -e /etc/patchlog ]; then
        while read -r line; do
            case $line in *" state="*)
                n=$((n + 1)) rest=${line#* state=}
                if [ "$n" -gt "$last" ]; then echo "watch: ${rest%% *}." >/dev/console; last=$n; fi
            esac
        done </etc/patchlog
    elif [ -e /etc/patchdone ] && [ "$last" -lt 99 ]; then
        echo "watch: confirming." >/dev/console
        last=99
    fi
    /usr/local/lib/vm/busybox usleep 100000
done
"""
# Five files, each on disk before the next; a line at the beginning and one at the end that no loss can take back.
PROGRAM = f"""#!/bin/sh
set -e
note() {{ echo "$1" >>{site.WITNESS}; sync {site.WITNESS} /var/lib; }}
note begun
for n in 1 2 3 4 5; do
    head -c 200000 /dev/urandom >/var/lib/patched.$n
    sync /var/lib/patched.$n
    sleep 0.3
done
note done
"""
CONFIGURE = f'echo "configured $DPKG_MAINTSCRIPT_PACKAGE" >>{site.WITNESS}; sync {site.WITNESS} /var/lib; sleep 0.3'
STEPS = {"script": ["begun", "done"], "apt": [f"configured {name}" for name in NAMES]}
AT_REST = "! { test -e /etc/patchflag || test -e /etc/patchlog || test -e /etc/patchdone; }"


class Round:
    """One host, one run, one loss."""

    def __init__(self, options, number, sites, lab):
        choose = random.Random(f"{options.seed}-{number}")
        # Over any ten rounds every moment, over any four both inits with both kinds of cluster.
        order = random.Random(options.seed).sample(MOMENTS, len(MOMENTS))
        self.at, spread = order[number % len(order)]
        self.delay = choose.uniform(0, spread)
        self.kind = options.kind or ("sysv", "systemd")[number % 2]
        self.cluster = ("script", "apt")[number // 2 % 2]
        self.loss = choose.choice(("kill", "cut", "cut"))
        self.mount = choose.choice(("", "", vm.HARSH))
        self.number, self.options, self.site, self.lab = number, options, sites[self.cluster], lab
        self.seed = choose.random()
        self.before = {f"patchlog.{time.strftime('%y%m%d', time.gmtime())}{tail}": f"of another run{tail}\n" for tail in ("", ".1")}

    def __str__(self):
        how = f"{self.loss}, {'harsh' if self.mount else 'default'} mount"
        return f"round {self.number}: {self.kind}, {self.cluster}, {self.at} + {self.delay:.1f} s, {how}"

    def run(self):
        """Play the round; returns what became of the run, and the broken promises."""
        with vm.Machine(f"crash{self.number}", self.kind, self.lab) as self.machine:
            try:
                self.make()
                self.machine.start(rootflags=self.mount)
                self.wait_for_moment()
                broken = [f"after the loss: {line}" for line in judge.judge_loss(self.lose(), self.before)]
                end = self.come_to_rest()
                broken += [f"at the end: {line}" for line in judge.judge_end(end, STEPS[self.cluster])]
                word = judge.outcome(end)
            except LabError as error:
                word, broken = "stuck", [str(error)]
            if broken and self.options.keep:
                Path(self.options.keep, f"round{self.number}.console").write_text(self.machine.console())
            return word, broken

    def make(self):
        """A host of the site, with ticks, decoys of dated journals, and the order."""
        machine = self.machine
        self.site.install(machine)
        for name, text in self.before.items():
            machine.write(f"/etc/{name}", text)
        if self.cluster == "apt":
            with tempfile.TemporaryDirectory() as folder:
                debs = [packages.build(folder, name, "1.0") for name in NAMES]
                for deb in debs:
                    machine.write(f"/var/tmp/{deb.name}", deb.read_bytes())
                machine.chroot("sh", "-c", "dpkg -i /var/tmp/*.deb && rm /var/tmp/*.deb")
        machine.write("/usr/local/lib/vm/tick", TICK, 0o755)
        machine.add_service("tick", "/usr/local/lib/vm/tick")
        machine.run_beside(WATCH)
        machine.write("/etc/patchflag", "")

    def wait_for_moment(self):
        """Until the state or the boot was seen, and then a while."""
        machine = self.machine

        def has_come():
            if not machine.is_on:
                raise LabError(f"the host went off by itself; its console ended with {machine.console()[-600:]}")
            if self.at.startswith("boot "):
                return len(machine.boots) >= int(self.at.split()[1])
            return self.at in self.seen()

        machine.wait_for(has_come, self.options.limit, self.at, interval=0.02)
        time.sleep(self.delay)

    def seen(self):
        """The states that the console showed, each once; it repeats itself after each boot."""
        said = [line.split("watch: ")[1].rstrip(".") for line in self.machine.console().splitlines()
                if "watch: " in line and line.endswith(".")]
        return list(dict.fromkeys(said))

    def lose(self):
        """Take the power away and look at what is left."""
        # What the console shows while the power goes is not yet known to have been acted upon: look first.
        seen = [state for state in self.seen() if state != "confirming"]
        if self.loss == "cut":
            self.machine.cut(self.seed)
        else:
            self.machine.kill()
        self.boots = len(self.machine.boots)
        loss = judge.Loss(seen, check=self.machine.disk.check()[0])
        with self.machine.disk.look() as root:
            tool = self.site.tools / "usr/sbin/patch-status"
            said = self.lab.run("unshare", "--mount", "sh", "-c", 'mount --bind /proc "$2/proc"; "$1" --json --root "$2" 2>&1; '
                                "echo code=$?", "sh", tool, root).stdout
            text, _, code = said.rpartition("code=")
            loss.status = (int(code), text.strip())
            etc = self.lab.path(root, "etc")
            loss.flag, loss.done = (etc / "patchflag").exists(), (etc / "patchdone").exists()
            loss.journal = read(etc / "patchlog")
            loss.dated = dated(etc)
            loss.trigger = self.is_ordered(self.lab.path(root))
            loss.witness = (read(self.lab.path(root, site.WITNESS)) or "").splitlines()
        return loss

    def is_ordered(self, root):
        """init would go to the maintenance level."""
        if self.kind == "sysv":
            return "patchflag: was" in (root / "etc/inittab").read_text()
        return (root / "system-update").is_symlink()

    def come_to_rest(self):
        """Boot, and let it tick until there is nothing left to do; then look at everything."""
        machine, deadline = self.machine, time.monotonic() + self.options.limit
        machine.start(rootflags=self.mount)

        def left():
            return max(1, round(deadline - time.monotonic()))

        while True:
            try:
                machine.wait_up(self.boots + 1, left())
                machine.run(f"until {AT_REST}; do sleep 1; done", timeout=left())
                machine.wait_up(self.boots + 1, left())
                level = machine.level()
                said = machine.run("patch-status --json")
                audit = machine.run("dpkg --audit; apt-get -qq check 2>&1").stdout
                break
            except vm.Lost:
                if not machine.is_on:
                    raise
        boots = len(machine.boots) - self.boots
        status = (said.returncode, json.loads(said.stdout)["state"] if said.returncode == 0 else said.stderr)
        machine.run("sync")
        machine.kill()
        etc = machine.path("/etc")
        end = judge.End(level, NORMAL[self.kind], boots, status, self.is_ordered(machine.path("/")),
                        sorted(path.name for path in etc.iterdir()), dated(etc), self.before, self.mails(),
                        (read(machine.path(site.WITNESS)) or "").splitlines(),
                        (etc / "patchfailed").readlink().name if (etc / "patchfailed").is_symlink() else None, audit.strip())
        return end

    def mails(self):
        """The names of all mails, wherever they are in the spool."""
        spool = self.machine.path("/var/spool/patch")
        return sorted(path.name for place in ("queue", "sent", "refused") if (spool / place).is_dir()
                      for path in (spool / place).iterdir())


def read(path):
    """The text of a file, if there is one."""
    return path.read_text(errors="replace") if path.is_file() else None


def dated(etc):
    """The dated journals and their texts."""
    return {path.name: path.read_text(errors="replace") for path in etc.glob("patchlog.*")}


def make_sites():
    """A site with a script cluster and one with an apt cluster: made once, copied to each host."""
    script, apt = site.Site(), site.Site()
    script.script(PROGRAM)
    with tempfile.TemporaryDirectory() as folder:
        for name in NAMES:
            packages.build(folder, name, "2.0", CONFIGURE)
        apt.apt(folder)
    return {"script": script, "apt": apt}


def main():
    """Play the rounds; one line each, one at the end."""
    parser = argparse.ArgumentParser(prog="python3 -m tests.crash_vm", description=__doc__.split("\n")[0])
    parser.add_argument("--kills", type=int, default=10, help="how many rounds (default 10)")
    parser.add_argument("--seed", type=int, default=None, help="default: another each time")
    parser.add_argument("--only", type=int, default=None, metavar="ROUND", help="play this round of the seed alone")
    parser.add_argument("--kind", choices=NORMAL, help="one init only")
    parser.add_argument("--limit", type=int, default=600, help="seconds for a host to come to a state, or to rest")
    parser.add_argument("--keep", metavar="FOLDER", help="where consoles of broken rounds go")
    options = parser.parse_args()
    options.seed = random.SystemRandom().randrange(10**6) if options.seed is None else options.seed
    numbers = range(options.kills) if options.only is None else [options.only]
    violations = 0
    with Lab() as lab:
        sites = make_sites()
        try:
            for number in numbers:
                began, play = time.monotonic(), Round(options, number, sites, lab)
                word, broken = play.run()
                print(f"{play}: {word}, {time.monotonic() - began:.0f} s", flush=True)
                for line in broken:
                    print(f"  VIOLATION {line}\n  again: python3 -m tests.crash_vm --seed {options.seed} --only {number}"
                          + (f" --kind {options.kind}" if options.kind else ""), flush=True)
                violations += len(broken)
        finally:
            for each in sites.values():
                each.close()
    print(f"crash-vm: kills={len(numbers)} violations={violations} seed={options.seed}")
    return 1 if violations else 0


if __name__ == "__main__":
    sys.exit(main())
