#!/usr/bin/env python3
"""What patch-modules costs: hashing every module before anything runs, planning ten thousand, and running on two processors.

Verifying is measured whole, process start included, with a warm cache, against the obvious Python: one loop over modules and files with
hashlib, which computes the very same checksums. The programs take turns; the figures are ratios of medians. Writes flat key: value
pairs into a JSON file and a table to the terminal.

Usage: modules.py --tools DIR --json FILE [--runs N]
"""

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from measure import medians, merge, print_goals  # noqa: E402

GOALS = {"modules_verify_vs_python": ("<=", 0.6), "modules_verify_small_vs_python": ("<=", 0.3), "modules_plan_ms": ("<", 100),
         "modules_parallel_speedup": (">=", 1.7)}

CHECKSUM = Path(__file__).parent.parent / "tests/golden/modules"
PYTHON = '''
import json, os, sys
sys.path.insert(0, sys.argv[2])
from checksum import checksum
base = os.fsencode(sys.argv[1])
modules = json.load(open(os.path.join(base, b"manifest.json")))["updates"]
sys.exit(any([checksum(os.path.join(base, module["name"].encode())) != module["checksum"] for module in modules]))
'''


class Scene:
    """Modules in a directory of their own, with a state of their own."""

    def __init__(self, folder, tool):
        self.base, self.tool = Path(folder), tool
        self.dir = self.base / "modules"
        self.dir.mkdir()
        config = self.base / "config.ini"
        config.write_text(f"[modules]\ndir = {self.dir}\nstate = {self.base}/state\nlog = {self.base}/log\n")

    def command(self, *args):
        return [str(self.tool), "--config", str(self.base / "config.ini"), *args]

    def manifest(self, modules):
        (self.dir / "manifest.json").write_text(json.dumps({"updates": modules}, indent=2))

    def fill(self, modules, files, size):
        """So many modules of so many files."""
        generator = random.Random(5)
        for n in range(modules):
            top = self.dir / f"m{n}"
            (top / "data").mkdir(parents=True)
            for k in range(files):
                name = "index" if k == 0 else f"data/file{k}"
                (top / name).write_bytes(generator.randbytes(size))
        self.manifest([{"name": f"m{n}"} for n in range(modules)])
        subprocess.run(self.command("checksum", "--write"), stdout=subprocess.DEVNULL, check=True)


def verify_ratio(tool, folder, runs, files, size):
    scene = Scene(folder, tool)
    scene.fill(500, files, size)
    interpreter = "/usr/bin/python3" if os.path.exists("/usr/bin/python3") else sys.executable
    python = [interpreter, "-B", "-c", PYTHON, str(scene.dir), str(CHECKSUM)]
    took = medians({"ours": scene.command("verify"), "python": python}, runs)
    return took["ours"] / took["python"], took


def plan_ms(tool, folder, runs):
    """Ten thousand modules, each needing up to five of those before it."""
    scene = Scene(folder, tool)
    generator = random.Random(6)
    modules = []
    for n in range(10_000):
        needs = sorted({generator.randrange(n) for _ in range(min(n, 5))}) if n else []
        modules.append({"name": f"module_{n}", "version": "1.0.0", "enabled": True, "requires": [f"module_{need}" for need in needs]})
    scene.manifest(modules)
    return medians({"plan": scene.command("apply", "--dry-run")}, runs)["plan"] * 1000


def speedup(tool, folder, runs):
    """Six modules that only count, one after the other and two at once."""
    scene = Scene(folder, tool)
    for n in range(6):
        (scene.dir / f"m{n}").mkdir()
        index = scene.dir / f"m{n}" / "index"
        index.write_text("#!/bin/sh\ni=0; while [ $i -lt 400000 ]; do i=$((i+1)); done\n")
        index.chmod(0o755)
    scene.manifest([{"name": f"m{n}"} for n in range(6)])
    subprocess.run(scene.command("checksum", "--write"), stdout=subprocess.DEVNULL, check=True)
    took = medians({"one": scene.command("apply", "--jobs", "1"), "two": scene.command("apply", "--jobs", "2")}, max(3, runs // 3))
    return took["one"] / took["two"]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tools", required=True, type=Path)
    parser.add_argument("--json", required=True, type=Path)
    parser.add_argument("--runs", type=int, default=9)
    args = parser.parse_args()
    tool = args.tools / "patch-modules"
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        figures["modules_verify_vs_python"], took = verify_ratio(tool, folder, args.runs, 4, 100_000)
        print(f"500 modules, 200 MB: {took['ours'] * 1000:.0f} ms, Python {took['python'] * 1000:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        figures["modules_verify_small_vs_python"], took = verify_ratio(tool, folder, args.runs, 20, 1000)
        print(f"500 modules of 20 small files: {took['ours'] * 1000:.0f} ms, Python {took['python'] * 1000:.0f} ms")
    with tempfile.TemporaryDirectory() as folder:
        figures["modules_plan_ms"] = plan_ms(tool, folder, args.runs)
    with tempfile.TemporaryDirectory() as folder:
        figures["modules_parallel_speedup"] = speedup(tool, folder, args.runs)
    figures = {name: round(value, 3) for name, value in figures.items()}
    print_goals(figures, GOALS)
    merge(args.json, figures)


if __name__ == "__main__":
    main()
