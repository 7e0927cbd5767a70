"""patch-modules killed before each call that changes something, in a run, a rollback, and what writes the manifest.

At the kill: the manifest can be read, every line of the history but a torn last one is whole, and the directory of a module is one
version or the other, never a mixture. After the next start everything is put right: the manifest says what the history says, and
what was cut short is done. The order of writing and flushing is checked in the recordings, and each flush that is left out is missed.

Usage: python3 -m tests.modules_crash [--sample N] [--only SCENE:CALL:N]
"""

import argparse
import json
import os
import random
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

from tests import seed
from tests.crash import trace
from tests.crash.order import Ground, faults

SCENES = {
    "apply": ["apply"],
    "checksum": ["checksum", "--write"],
    "rollback": ["rollback", "a", "--to", "1"],
    "safe": ["safe", "a"],
    "unhealthy": ["apply"],
    "long": ["safe", "a"],
}
# From this size on a history is put aside and shortened.
LONG = 4 << 20
GIT = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "init.defaultBranch=main"]
SUM = re.compile(r" sum=([0-9a-f]{8})$")


class Scene:
    """Two modules in a git repository: `a` at version 2, with version 1 behind a tag, and `b`, which requires it."""

    def __init__(self, folder, tool, name):
        self.folder, self.tool, self.name = Path(folder), str(tool), name
        self.base, self.saved = self.folder / "base", self.folder / "saved"
        self.dir, self.state = self.base / "modules", self.base / "state"
        self.versions = {}
        self.make()
        shutil.copytree(self.base, self.saved, symlinks=True)

    def make(self):
        """Make it, up to the moment of the scene."""
        self.dir.mkdir(parents=True)
        (self.base / "config.ini").write_text(f"[modules]\ndir = {self.dir}\nstate = {self.state}\nlog = {self.base}/log\n")
        self.git("init", "-q")
        self.program("b", "ran b")
        for version in ("1", "2"):
            self.program("a", f"ran a {version}")
            (self.dir / "a" / f"only {version}").write_text(version * 100)
            if version == "2":
                (self.dir / "a" / "only 1").unlink()
            self.manifest(version)
            self.must("checksum", "--write")
            if not (self.name == "apply" and version == "2"):
                self.must("apply")
            self.git("add", "-A")
            self.git("commit", "-qm", version)
            self.must("tag", "a")
            self.versions[version] = self.snapshot()
        if self.name == "checksum":
            self.manifest("2")
        if self.name == "unhealthy":
            (self.dir / "a" / "sick").write_text("")
            self.manifest("3")
            self.must("checksum", "--write")
            self.versions["3"] = self.snapshot()
        if self.name == "long":
            text = (self.state / "history").read_text()
            (self.state / "history").write_text(text * (LONG // len(text) + 1))

    def program(self, name, words):
        (self.dir / name).mkdir(exist_ok=True)
        index = self.dir / name / "index"
        index.write_text(f"#!/bin/sh\necho '{words}' >>{self.base}/witness\n")
        index.chmod(0o755)

    def manifest(self, version):
        health = ["sh", "-c", "test ! -e sick"] if self.name == "unhealthy" else None
        modules = [{"name": "a", "version": version, "health": health}, {"name": "b", "requires": ["a"]}]
        (self.dir / "manifest.json").write_text(json.dumps({"updates": modules}, indent=2))

    def git(self, *words):
        env = {"PATH": os.environ["PATH"], "HOME": str(self.base), "GIT_CONFIG_NOSYSTEM": "1"}
        subprocess.run([*GIT, *words], cwd=self.dir, env=env, check=True, capture_output=True)

    def run(self, *words, around=()):
        """A start of the tool."""
        argv = [*around, self.tool, "--config", str(self.base / "config.ini"), *words]
        return subprocess.run(argv, capture_output=True, text=True, check=False, timeout=120)

    def must(self, *words):
        done = self.run(*words)
        if done.returncode:
            sys.exit(f"cannot make the scene {self.name}: {words}: {done.stdout}{done.stderr}")

    def ready(self):
        """As it was made."""
        shutil.rmtree(self.base)
        shutil.copytree(self.saved, self.base, symlinks=True)

    def traced(self, more=(), follow=True):
        """The command of the scene under strace; what that says."""
        output = self.folder / "trace"
        output.unlink(missing_ok=True)
        self.run(*SCENES[self.name], around=["strace", *trace.options(str(output), *more, follow=follow)])
        return output.read_text(errors="replace")

    def snapshot(self):
        """What the directory of module a is."""
        top = self.dir / "a"
        if not top.is_dir():
            return None
        return {str(path.relative_to(top)): (path.stat().st_mode, path.read_bytes()) for path in top.rglob("*")}

    def ground(self):
        base = re.escape(str(self.base))
        passing = re.compile(rf"^{base}/(state/lock|state/work(/.*)?|state/rollback(/.*)?|log(/.*)?|witness|modules/\.git/.*)$")
        return Ground(re.compile(rf"^{base}/state/history$"), passing, (f"{self.dir}/.a.patch-modules.draft/",))


def at_the_kill(scene):
    """What is wrong in the moment of the kill."""
    try:
        names = [module["name"] for module in json.loads((scene.dir / "manifest.json").read_text())["updates"]]
        if names != ["a", "b"]:
            yield f"the manifest has {names}"
    except ValueError as why:
        yield f"the manifest cannot be read: {why}"
    lines = (scene.state / "history").read_text().split("\n")
    for line in lines[:-1]:
        found = SUM.search(line)
        if not found or int(found[1], 16) != zlib.crc32(line[:found.start()].encode()):
            yield f"a line of the history is not whole: {line}"
    if scene.snapshot() not in scene.versions.values():
        yield f"module a is neither version: {sorted(scene.snapshot() or {})}"


def after(scene):
    """What is wrong when the next starts have put it right."""
    for _ in range(100):
        done = scene.run(*(["apply"] if scene.name == "apply" else ["safe", "a"]))
        if done.returncode != 75:
            break
        time.sleep(0.05)
    yield from at_the_kill(scene)
    if done.returncode and scene.name == "apply":
        yield f"the next start ended with {done.returncode}: {done.stderr}"
    manifest = {module["name"]: module for module in json.loads((scene.dir / "manifest.json").read_text())["updates"]}
    if scene.name != "checksum":
        verified = scene.run("verify")
        if verified.returncode:
            yield f"not what the manifest says: {verified.stdout}{verified.stderr}"
        if scene.snapshot() != scene.versions[manifest["a"]["version"]]:
            yield f"the manifest says {manifest['a']['version']}, and module a is another version"
    for left in [*scene.dir.glob(".*draft"), *scene.state.glob(".*draft"), *scene.state.glob("rollback")]:
        yield f"{left} is left behind"
    again = scene.run(*SCENES[scene.name])
    if again.returncode and not (scene.name == "unhealthy" and again.returncode == 1):
        yield f"once more it ends with {again.returncode}: {again.stderr}"
    yield from end(scene)


def end(scene):
    """What is wrong when the command of the scene has come to its end."""
    manifest = {module["name"]: module for module in json.loads((scene.dir / "manifest.json").read_text())["updates"]}
    if scene.name == "rollback" and (scene.snapshot() != scene.versions["1"] or manifest["a"]["version"] != "1"):
        yield "it was not rolled back"
    if scene.name == "long":
        long = (scene.saved / "state/history").read_bytes()
        if [path.read_bytes() == long for path in scene.state.glob("history-*")] != [True]:
            yield "the long history is not kept once and whole"
        if len((scene.state / "history").read_bytes()) > 100_000:
            yield "the history is as long as it was"
    if scene.name in ("safe", "long") and manifest["a"].get("lastSafeVersion") != "2":
        yield "it was not marked as safe"
    if scene.name == "apply" and not all(module.get("lastApplied") for module in manifest.values()):
        yield "the manifest was not told when they were applied"
    if scene.name == "checksum" and scene.run("verify").returncode:
        yield "the checksums were not written"
    if scene.name == "unhealthy" and (scene.snapshot() != scene.versions["2"] or manifest["a"]["version"] != "2"):
        yield "what is not well was not rolled back"


def order(name, text, scene):
    """What is wrong with the order of a recording; each flush of ours that is left out must be missed."""
    ground = scene.ground()
    known = faults(text, ground)
    yield from (f"{name}: {fault}" for fault in known)
    lines, first = text.splitlines(), trace.read(text)[0]
    for number, line in enumerate(lines):
        found = re.match(rf"{first} +(?:fsync|fdatasync)\(\d+<([^>]*)>", line)
        # What git makes in the draft is its own business; that it is on disk the tree as a whole shows.
        if found and ground.is_state(found[1]) and ".draft" not in found[1]:
            if len(faults("\n".join(lines[:number] + lines[number + 1:]), ground)) == len(known):
                yield f"{name}: nobody would miss {line}"


def main():
    parser = argparse.ArgumentParser(prog="python3 -m tests.modules_crash")
    parser.add_argument("--sample", type=int, metavar="N")
    parser.add_argument("--only", action="append", default=[], metavar="SCENE:CALL:N")
    parser.add_argument("--scene", action="append", choices=SCENES)
    parser.add_argument("--seed", default=seed.of_commit())
    args = parser.parse_args()
    tool = Path(os.environ["PATCHFLAG_TEST_TOOLS"]) / "usr/sbin/patch-modules"
    found, chosen, scenes, missed = [], [], {}, 0
    with tempfile.TemporaryDirectory(prefix="modules-crash-") as folder:
        for name in args.scene or SCENES:
            (Path(folder) / name).mkdir()
            scene = scenes[name] = Scene(Path(folder) / name, tool, name)
            text = scene.traced()
            found += list(order(name, text, scene)) + [f"{name}: {words}" for words in end(scene)]
            chosen += [(name, call, number) for kind, call, number in trace.points(text) if kind == "tool"]
        if args.only:
            chosen = [(name, call, int(number)) for name, call, number in (only.split(":") for only in args.only)]
        elif args.sample and args.sample < len(chosen):
            chosen = random.Random(args.seed).sample(chosen, args.sample)
        for name, call, number in chosen:
            scene = scenes[name]
            scene.ready()
            if trace.KILLED not in scene.traced(trace.kill_before(call, number), follow=False):
                missed += 1
                continue
            # What git or a module does on its own is over soon.
            time.sleep(0.05)
            found += [f"{name}:{call}:{number}: {words}" for words in [*at_the_kill(scene), *after(scene)]]
    for words in found:
        print(words)
    print(f"modules-crash: points={len(chosen) - missed} missed={missed} violations={len(found)} seed={args.seed}")
    return 1 if found or not chosen else 0


if __name__ == "__main__":
    sys.exit(main())
