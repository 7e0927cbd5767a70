#!/usr/bin/env python3
"""What a tick with nothing to do costs: cron starts every stage every few minutes on every host, all year round.

Each of our stages, with no flag up, against the system's /bin/true, the same check written in sh, and the real dlm_engine_updater
1.0.5 that has no update to do. The programs take turns in one run, so that a machine whose speed drifts slows all of them;
the figures are ratios of medians. Writes flat key: value pairs into a JSON file and a table to the terminal.

Usage: noop.py --tools DIR --venv DIR --json FILE [--runs N]
"""

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from measure import medians, merge, peak_mib, print_goals  # noqa: E402

SH_CHECK = "[ -e /etc/patchflag ] && [ -e /etc/patchlog ] || exit 0; exit 1"
GOALS = {"noop_stage_vs_true": ("<=", 0.6), "noop_vs_sh": ("<=", 0.6), "noop_vs_python": ("<=", 0.005), "noop_rss_mib": ("<=", 2.0)}


def stages(tools):
    """A tick of each stage as cron starts it."""
    return {
        "grab-patch": [f"{tools}/grab-patch"],
        "patch-stage": [f"{tools}/patch-stage", "db", "--", "/bin/false"],
        "patch-lock -p": [f"{tools}/patch-lock", "acquire", "-p", "--wait"],
        "patchit": [f"{tools}/patchit"],
        "patchit --finish": [f"{tools}/patchit", "--finish"],
        "patch-mail deliver": [f"{tools}/patch-mail", "deliver"],
    }


def updater(venv, folder):
    """The Python updater with a needs_update script that finds nothing to do."""
    base = Path(folder)
    for name in ("needs_update", "pre_update", "update", "needs_reboot", "reboot", "post_update", "ext_notify", "on_failure"):
        (base / f"{name}.d").mkdir()
    script = base / "needs_update.d/10-nothing"
    script.write_text("#!/bin/sh\nexit 0\n")
    script.chmod(0o755)
    config = base / "config.env"
    config.write_text(f"main_api_lockname=bench\nmain_api_endpoint=http://127.0.0.1:9/\nmain_api_secretid=x\nmain_api_secret=x\n"
                      f"main_log_file={base}/log\nmain_basedir={base}\n")
    return [f"{venv}/bin/dlm_engine_updater", "--cfg", str(config)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--tools", required=True, help="directory of our static tools")
    parser.add_argument("--venv", required=True, help="virtual environment with dlmengineupdater 1.0.5")
    parser.add_argument("--json", required=True, help="file for the figures")
    parser.add_argument("--runs", type=int, default=400, help="rounds of the fast programs")
    args = parser.parse_args()
    if any(os.path.lexists(f"/etc/{name}") for name in ("patchflag", "patchlog", "patchdone")):
        sys.exit("cannot measure a tick with nothing to do: this machine has a patch flag in /etc")

    ours = stages(args.tools)
    fast = medians({"/bin/true": ["/bin/true"], "sh": ["/bin/sh", "-c", SH_CHECK], **ours}, args.runs)
    with tempfile.TemporaryDirectory() as folder:
        slow = medians({"python": updater(args.venv, folder), "ours": ours["grab-patch"]}, 11)
    worst = max(ours, key=lambda name: fast[name])
    figures = {
        "noop_stage_vs_true": round(fast[worst] / fast["/bin/true"], 3),
        "noop_vs_sh": round(fast[worst] / fast["sh"], 3),
        "noop_vs_python": round(slow["ours"] / slow["python"], 5),
        "noop_rss_mib": round(max(peak_mib(argv) for argv in ours.values()), 2),
    }
    report(fast, slow, figures, worst)
    merge(Path(args.json), figures)


def report(fast, slow, figures, worst):
    """The table on the terminal."""
    print(f"{'a tick with nothing to do':34}{'median ms':>12}")
    for name, value in {**fast, "dlm_engine_updater 1.0.5": slow["python"]}.items():
        print(f"  {name:32}{value * 1000:12.3f}")
    print(f"  (the slowest stage is {worst})")
    print_goals(figures, GOALS)


if __name__ == "__main__":
    main()
