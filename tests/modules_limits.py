"""Limits of memory and of processor time, kept by a real kernel: patch-modules in a virtual machine, where systemd has the control groups.

One module takes more memory than it may, and is killed and told of; one takes less; one counts with a fifth of a processor. Needs no KVM and
takes half a minute.

Usage: python3 -m tests.modules_limits
"""

import json
import os
import re
import sys
from pathlib import Path

from .hosts import vm
from .hosts.lab import Lab

MODULES = {
    # tail(1) keeps all of it until the end.
    "hungry": ({"memory": "32M"}, "head -c 100000000 /dev/zero | tail -c 100000000 >/dev/null"),
    "modest": ({"memory": "32M"}, "head -c 10000000 /dev/zero | tail -c 10000000 >/dev/null"),
    "busy": ({"cpu": 0.2}, "read -r began rest </proc/uptime; i=0; while [ $i -lt 40000 ]; do i=$((i+1)); done; "
                           "read -r ended rest </proc/uptime; echo \"from $began to $ended\"; times"),
}
PLACE = "/usr/local/lib/patch/modules"
SHARE = re.compile(r"busy \| from ([\d.]+) to ([\d.]+)\n.*?busy \| (\d+)m([\d.]+)s (\d+)m([\d.]+)s", re.DOTALL)


def install(machine, tool):
    machine.write("/usr/sbin/patch-modules", tool.read_bytes(), 0o755)
    for name, (_, program) in MODULES.items():
        machine.write(f"{PLACE}/{name}/index", f"#!/bin/sh\n{program}\n", 0o755)
    updates = [{"name": name, "resources": resources} for name, (resources, _) in MODULES.items()]
    machine.write(f"{PLACE}/manifest.json", json.dumps({"updates": updates}))


def faults(machine):
    """What is wrong with a run."""
    done = machine.run("patch-modules checksum --write >/dev/null && patch-modules apply 2>&1", timeout=240)
    said = done.stdout + done.stderr
    print(said, end="")
    if done.returncode != 1 or "2 of 3 modules applied, 1 failed" not in said:
        yield f"it ended with {done.returncode}"
    if not re.search(r"module hungry failed: .*above its limit of memory", said):
        yield "nobody says that hungry went above its limit of memory"
    if "are not kept" in said:
        yield "it does not keep limits here"
    found = SHARE.search(said)
    if not found:
        yield "busy does not say how long it took"
    else:
        began, ended, *spent = map(float, found.groups())
        share = (spent[0] * 60 + spent[1] + spent[2] * 60 + spent[3]) / (ended - began)
        print(f"busy had {share:.2f} of a processor for {ended - began:.1f} s")
        if not 0.1 < share < 0.3:
            yield "busy was not kept to a fifth of a processor"
    left = machine.run("find /sys/fs/cgroup -name 'patch-run.*'").stdout
    if left:
        yield f"control groups are left behind: {left}"


def main():
    tool = Path(os.environ["PATCHFLAG_TEST_TOOLS"]) / "usr/sbin/patch-modules"
    with Lab() as lab, vm.Machine("limits", "systemd", lab) as machine:
        install(machine, tool)
        machine.boot()
        found = list(faults(machine))
    for words in found:
        print(f"modules-limits: {words}")
    print(f"modules-limits: violations={len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
