"""What init and cron do with the driver, by rc/sysv/patch-run, rc/systemd/patch-run* and cron/patch-run, in booted hosts.

patch-run is played by a shell script here, for what is proved is what the scripts and units promise; tests/chain has the driver.
"""

import re
import time
import unittest
from pathlib import Path

from .hosts.host import Host

TOP = Path(__file__).resolve().parent.parent
CALLS = "/var/log/patch-run.calls"
DRIVER = "/usr/sbin/patch-run"


def play(body):
    """A driver that notes how it was called, and then does `body`."""
    return f'#!/bin/sh\necho "called:$*" >>{CALLS}\n{body}\n'


class Runs(unittest.TestCase):
    """A host with our rc files, as installation leaves them."""

    kind = ""

    def setUp(self):
        self.host = Host(f"run-{self.kind}", self.kind, size="128m")
        self.addCleanup(self.host.stop)
        self.host.write("/etc/cron.d/patch-run", (TOP / "cron/patch-run").read_text())
        self.install()

    def calls(self):
        """The arguments of each call so far."""
        return self.host.read(CALLS).splitlines() if self.host.exists(CALLS) else []

    def wait_for_calls(self, *calls):
        """Wait until it was called so."""
        self.host.wait_for(lambda: self.calls() == list(calls), 15, f"calls {calls}")

    def test_nothing_starts_it_before_somebody_enables_it(self):
        self.host.write(DRIVER, play(""), 0o755)
        self.host.boot(timeout=30)
        self.assertEqual(self.calls(), [])
        active = [line for line in self.host.read("/etc/cron.d/patch-run").splitlines()
                  if line and not line.startswith("#") and not re.match(r"[A-Z]+=", line)]
        self.assertEqual(active, [])

    def test_a_boot_goes_on_with_a_run_and_does_not_wait_for_it(self):
        self.host.write(DRIVER, play("sleep 600"), 0o755)
        self.enable()
        self.host.boot(timeout=30)
        self.wait_for_calls("called:--after_reboot")
        self.assert_up()

    def test_a_boot_without_the_program_is_a_boot(self):
        self.enable()
        self.host.boot(timeout=30)
        self.assert_up()

    def test_a_driver_that_reboots_is_started_again_by_the_next_boot(self):
        self.host.write(DRIVER, play("[ -e /var/log/once ] || { : >/var/log/once; sleep 1; shutdown -r now; }"), 0o755)
        self.enable()
        self.host.start()
        self.host.wait_for(lambda: len(self.host.boots) == 2, 30, "the second boot")
        self.host.wait_up(2, 30)
        self.wait_for_calls("called:--after_reboot", "called:--after_reboot")


class Sysv(Runs):
    """rc/sysv/patch-run."""

    kind = "sysv"

    def install(self):
        self.host.write("/etc/init.d/patch-run", (TOP / "rc/sysv/patch-run").read_text(), 0o755)

    def enable(self):
        self.host.chroot("update-rc.d", "patch-run", "defaults")

    def assert_up(self):
        self.assertIn(self.host.level(), ("2", "3"))

    def test_it_is_started_behind_the_network_and_never_at_level_1(self):
        self.enable()
        for level in "2345":
            self.assertTrue(list(self.host.path(f"/etc/rc{level}.d").glob("S*patch-run")), level)
        for level in "016":
            self.assertFalse(list(self.host.path(f"/etc/rc{level}.d").glob("S*patch-run")), level)

    def test_its_script_says_what_the_driver_knows_and_that_no_service_runs(self):
        self.host.write(DRIVER, play("echo idle"), 0o755)
        self.host.boot()
        done = self.host.run(["/etc/init.d/patch-run", "status"])
        self.assertEqual((done.returncode, done.stdout), (3, "idle\n"))
        self.assertEqual(self.host.run(["/etc/init.d/patch-run", "begin"]).returncode, 2)


class Systemd(Runs):
    """rc/systemd/patch-run.service, .timer and patch-run-boot.service."""

    kind = "systemd"

    def install(self):
        self.units = [path.name for path in (TOP / "rc/systemd").glob("patch-run*")]
        for name in self.units:
            self.host.write(f"/usr/lib/systemd/system/{name}", (TOP / "rc/systemd" / name).read_text())

    def enable(self):
        self.host.chroot("systemctl", "enable", "patch-run-boot.service")

    def assert_up(self):
        self.host.wait_for(lambda: self.host.run(["systemctl", "is-system-running"]).stdout == "running\n", 15, "a boot that is over")

    def shows(self, unit, name):
        """A property of a unit."""
        return self.host.output(["systemctl", "show", "-P", name, unit]).strip()

    def test_systemd_finds_no_fault_with_the_units(self):
        self.host.write(DRIVER, play(""), 0o755)
        self.host.boot(timeout=30)
        done = self.host.run(["systemd-analyze", "verify", "--man=no", *(f"/usr/lib/systemd/system/{name}" for name in self.units)])
        said = [line for line in done.stderr.splitlines() if "patch-run" in line]
        self.assertEqual((done.returncode, said), (0, []))

    def test_the_timer_starts_it_and_no_second_one_beside_it(self):
        self.host.write(DRIVER, play("sleep 600"), 0o755)
        often = "[Timer]\nOnCalendar=\nOnCalendar=*:*:*\nRandomizedDelaySec=0\n"
        self.host.write("/etc/systemd/system/patch-run.timer.d/often.conf", often)
        self.host.boot(timeout=30)
        self.host.output(["systemctl", "enable", "--now", "patch-run.timer"])
        self.wait_for_calls("called:")
        time.sleep(2.2)
        self.assertEqual(self.calls(), ["called:"])

    def test_the_timer_has_a_delay_of_the_host_s_own(self):
        self.host.boot(timeout=30)
        self.host.output(["systemctl", "start", "patch-run.timer"])
        self.assertEqual(self.shows("patch-run.timer", "FixedRandomDelay"), "yes")
        first = self.shows("patch-run.timer", "NextElapseUSecRealtime")
        self.host.output(["systemctl", "restart", "patch-run.timer"])
        self.assertEqual(self.shows("patch-run.timer", "NextElapseUSecRealtime"), first)

    def test_a_stop_is_told_to_the_driver_alone_and_leaves_what_a_script_has_left(self):
        script = "(trap '' TERM; exec sleep 600) & trap 'echo told >>/var/log/told; exit 143' TERM; while :; do sleep 0.1; done"
        self.host.write(DRIVER, play(script), 0o755)
        self.host.boot(timeout=30)
        self.host.output(["systemctl", "start", "patch-run.service"])
        self.wait_for_calls("called:")
        self.host.output(["systemctl", "stop", "patch-run.service"])
        self.assertEqual(self.host.read("/var/log/told"), "told\n")
        self.assertEqual(self.host.run("pgrep -x sleep -a | grep -c 'sleep 600'").stdout.strip(), "1")

    def test_not_yet_is_no_failure_and_a_failure_is_one(self):
        self.host.boot(timeout=30)
        for code, state in ((0, "inactive"), (69, "inactive"), (75, "inactive"), (1, "failed")):
            self.host.write(DRIVER, play(f"exit {code}"), 0o755)
            self.host.run(["systemctl", "start", "patch-run.service"])
            self.host.wait_for(lambda: self.shows("patch-run.service", "ActiveState") == state, 5, f"{state} after {code}")
            self.host.run(["systemctl", "start", "patch-run-boot.service"])
            self.host.wait_for(lambda: self.shows("patch-run-boot.service", "ActiveState") == "inactive", 5, "the boot unit")
            self.assertEqual(self.shows("patch-run-boot.service", "Result"), "success")

    def test_hands_off_on_the_command_line_starts_nothing(self):
        self.host.write(DRIVER, play(""), 0o755)
        self.enable()
        self.host.start("patchit=off")
        self.host.wait_up(1, 30)
        time.sleep(0.5)
        self.assertEqual(self.calls(), [])


del Runs

if __name__ == "__main__":
    unittest.main()
