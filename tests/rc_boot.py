"""Whatever becomes of patchit, a maintenance boot that was ordered ends at the normal level: rc/sysv and rc/systemd in booted hosts.

patchit is played by a shell script here, for what is proved is what the scripts and units promise without it.
"""

import time
import unittest
from pathlib import Path

from .hosts.host import Host

RC = Path(__file__).resolve().parent.parent / "rc"
CALLS = "/var/log/patchit.calls"
PATCHIT = "/usr/sbin/patchit"
FILL = "dd if=/dev/zero of=/fill bs=64k 2>/dev/null; dd if=/dev/zero of=/fill2 bs=1 2>/dev/null"


def play(body):
    """A patchit that notes how it was called, and then does `body`."""
    return f'#!/bin/sh\necho "called:$*" >>{CALLS}\n{body}\n'


class Boots(unittest.TestCase):
    """A host with our rc files, and what every test asks of it."""

    kind = ""

    def setUp(self):
        self.host = Host(f"rc-{self.kind}", self.kind, size="128m")
        self.addCleanup(self.host.stop)
        self.install()

    def calls(self):
        """The arguments of each call of patchit so far."""
        return self.host.read(CALLS).splitlines() if self.host.exists(CALLS) else []

    def maintenance_calls(self):
        """How often patchit was called to do what is due, and not by a normal boot."""
        return self.calls().count("called:")

    def assert_comes_back(self, boots=2, timeout=60):
        """The host passes through a maintenance boot and ends at its normal level, with nothing ordered."""
        if self.host.is_on:
            self.host.run(["reboot"])
        else:
            self.host.start()
        # Nothing is asked inside before the last boot: a question put to a host that goes down holds it up.
        self.host.wait_for(lambda: len(self.host.boots) >= boots, timeout, f"boot {boots}")
        self.host.wait_for(self.at_normal_level, timeout, "the normal level")
        self.assertEqual(len(self.host.boots), boots, "the maintenance boot is one boot, not several")
        self.assertFalse(self.is_ordered())


class Sysv(Boots):
    """rc/sysv/patchit."""

    kind = "sysv"

    def install(self):
        self.host.write("/etc/init.d/patchit", (RC / "sysv/patchit").read_text(), 0o755)
        self.host.chroot("update-rc.d", "patchit", "defaults")
        self.plain = self.host.read("/etc/inittab").replace(":2:initdefault:", ":3:initdefault:")
        self.host.write("/etc/inittab", self.plain, 0o640)

    def order(self):
        self.host.write("/etc/inittab", self.plain.replace(":3:initdefault:", ":1:initdefault: # patchflag: was 3"), 0o640)

    def is_ordered(self):
        return "patchflag: was" in self.host.read("/etc/inittab") and ":1:initdefault:" in self.host.read("/etc/inittab")

    def at_normal_level(self):
        return self.host.level() == "3" and self.host.init.is_up()

    def assert_restored(self):
        self.assertEqual(self.host.read("/etc/inittab"), self.plain)
        self.assertEqual(self.host.path("/etc/inittab").stat().st_mode & 0o7777, 0o640)

    def test_it_comes_between_killprocs_and_single_and_in_every_normal_level(self):
        names = sorted(path.name for path in self.host.path("/etc/rc1.d").iterdir())
        place = [next(i for i, name in enumerate(names) if name[3:] == wanted and name[0] == "S")
                 for wanted in ("killprocs", "patchit", "single")]
        self.assertEqual(place, sorted(place), names)
        numbers = [names[i][:3] for i in place]
        self.assertEqual(len(set(numbers)), 3, "scripts of one number run side by side")
        for level in "2345":
            self.assertTrue(any(path.name.endswith("patchit") and path.name[0] == "S"
                                for path in self.host.path(f"/etc/rc{level}.d").iterdir()), level)

    def test_a_patchit_that_dies_at_once_is_undone_and_rebooted(self):
        self.host.write(PATCHIT, play('[ "$1" ] || kill -9 $$'), 0o755)
        self.order()
        self.assert_comes_back()
        self.assertEqual(self.maintenance_calls(), 1)
        self.assert_restored()

    def test_a_patchit_that_does_nothing_is_undone_and_rebooted(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.order()
        self.assert_comes_back()
        self.assert_restored()

    def test_a_patchit_that_works_for_a_while_is_waited_for(self):
        undo = "sed -i 's/:1:initdefault: # patchflag: was 3/:3:initdefault:/' /etc/inittab"
        self.host.write(PATCHIT, play(f'[ "$1" ] && exit; {undo}; sleep 4; echo over >>{CALLS}'), 0o755)
        self.order()
        self.assert_comes_back()
        self.assertIn("over", self.calls())

    def test_a_patchit_that_reboots_by_itself_is_not_in_the_way(self):
        self.host.write(PATCHIT, play('[ "$1" ] && exit; shutdown -r now'), 0o755)
        self.order()
        self.assert_comes_back()
        self.assert_restored()

    def test_a_patchit_that_is_missing_or_not_executable_is_undone_and_rebooted(self):
        self.order()
        self.assert_comes_back()
        self.assert_restored()
        self.host.write(PATCHIT, play("exit 0"), 0o644)
        self.order()
        self.assert_comes_back(boots=4)
        self.assertEqual(self.calls(), [])

    def test_a_disk_without_any_room_is_no_reason_to_stay(self):
        self.host.write(PATCHIT, play(f'[ "$1" ] || {{ {FILL}; kill -9 $$; }}'), 0o755)
        self.order()
        self.assert_comes_back()
        # The level was set in its place, which needs no room; what is left of the mark is a comment.
        self.assertIn("\nid:3:initdefault: # patchflag: was 3\n", self.host.read("/etc/inittab"))

    def test_room_that_was_set_aside_is_given_for_the_undo(self):
        self.host.write("/etc/.patchroom", b"\0" * 65536)
        self.host.write(PATCHIT, play(f'[ "$1" ] || {{ {FILL}; kill -9 $$; }}'), 0o755)
        self.order()
        self.assert_comes_back()
        self.assert_restored()
        self.assertFalse(self.host.exists("/etc/.patchroom"))

    def test_an_order_that_cannot_be_undone_is_left_without_a_reboot(self):
        read_only = "mount --bind /etc /etc; mount -o remount,bind,ro /etc"
        self.host.write(PATCHIT, play(f'[ "$1" ] || {{ {read_only}; exit 1; }}'), 0o755)
        self.order()
        self.host.start()
        self.host.wait_for(self.at_normal_level, 60, "the normal level")
        self.assertEqual(len(self.host.boots), 1)
        self.assertIn("cannot undo the order", str(self.host.log))

    def test_a_shutdown_that_hangs_is_not_waited_for_without_end(self):
        script = self.host.read("/etc/init.d/patchit")
        self.host.write("/etc/init.d/patchit", script.replace("patience=300", "patience=3"), 0o755)
        self.host.write("/sbin/shutdown", "#!/bin/sh\nexec sleep 600\n", 0o755)
        self.host.write(PATCHIT, play("exit 1"), 0o755)
        self.order()
        self.assert_comes_back()
        self.assertIn("no shutdown came about", str(self.host.log))

    def test_level_1_by_hand_is_not_rebooted(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.host.boot()
        self.host.run(["init", "1"])
        self.host.wait_for(lambda: self.host.level() == "S", 60, "single-user mode")
        self.assertEqual(len(self.host.boots), 1)
        # startpar does not start again what the normal level has started, so nobody even asks patchit.
        self.assertEqual(self.maintenance_calls(), 0)

    def test_level_1_by_hand_is_not_rebooted_though_an_order_is_pending(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.host.boot()
        self.order()
        self.host.run(["env", "PREVLEVEL=3", "RUNLEVEL=1", "/etc/init.d/patchit", "start"])
        self.assertEqual(self.maintenance_calls(), 1)
        self.assertEqual(self.host.level(), "3")
        self.assertTrue(self.is_ordered())

    def test_patchit_off_on_the_command_line_touches_nothing(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.order()
        self.host.start("patchit=off")
        self.host.wait_for(lambda: self.host.level() == "S", 60, "single-user mode")
        self.assertEqual(self.calls(), [])
        self.assertTrue(self.is_ordered())

    def test_a_normal_boot_does_not_wait_for_patchit(self):
        self.host.write(PATCHIT, play("sleep 600"), 0o755)
        self.host.boot(timeout=20)
        self.host.wait_for(lambda: self.calls() == ["called:--finish --wait"], 10, "patchit --finish")
        self.assertTrue(self.at_normal_level())


class Systemd(Boots):
    """rc/systemd."""

    kind = "systemd"

    def install(self):
        for name in ("patchit-offline.service", "patchit.service"):
            self.host.write(f"/usr/lib/systemd/system/{name}", (RC / "systemd" / name).read_text())
        link = "system-update.target.wants/patchit-offline.service"
        self.host.symlink((RC / "systemd" / link).readlink(), f"/usr/lib/systemd/system/{link}")
        self.host.chroot("systemctl", "enable", "patchit.service")

    def order(self, target="/var/lib/patch/system-update"):
        self.host.write(f"{target}/patchflag" if "patch" in target else f"{target}/theirs", "")
        self.host.symlink(target, "/system-update")

    def is_ordered(self):
        return self.host.exists("/system-update")

    def at_normal_level(self):
        return self.host.level() in ("graphical.target", "multi-user.target") and self.host.init.is_up()

    def test_a_patchit_that_dies_at_once_is_undone_and_rebooted(self):
        self.host.write(PATCHIT, play('[ "$1" ] || kill -9 $$'), 0o755)
        self.order()
        self.assert_comes_back()
        self.assertEqual(self.maintenance_calls(), 1)

    def test_a_patchit_that_does_nothing_is_undone_and_rebooted(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.order()
        self.assert_comes_back()

    def test_a_patchit_that_works_for_a_while_is_waited_for(self):
        self.host.write(PATCHIT, play(f'[ "$1" ] && exit; rm /system-update; sleep 4; echo over >>{CALLS}'), 0o755)
        self.order()
        self.assert_comes_back()
        self.assertIn("over", self.calls())

    def test_a_patchit_that_reboots_by_itself_is_not_in_the_way(self):
        self.host.write(PATCHIT, play('[ "$1" ] && exit; rm /system-update; systemctl reboot; sleep 1'), 0o755)
        self.order()
        self.assert_comes_back()

    def test_a_patchit_that_is_missing_or_not_executable_is_undone_and_rebooted(self):
        self.order()
        self.assert_comes_back()
        self.host.write(PATCHIT, play("exit 0"), 0o644)
        self.order()
        self.assert_comes_back(boots=4)
        self.assertEqual(self.calls(), [])

    def test_an_order_that_cannot_be_undone_is_left_without_a_reboot(self):
        self.host.write(PATCHIT, play('[ "$1" ] || kill -9 $$'), 0o755)
        self.order()
        self.host.disk.make_ready = lambda: self.host.lab.run("mount", "-o", "remount,ro", self.host.disk.root)
        self.host.start()
        self.host.wait_for(self.at_normal_level, 60, "the normal level")
        time.sleep(1)
        self.assertTrue(self.at_normal_level())
        self.assertEqual(len(self.host.boots), 1)
        self.assertTrue(self.is_ordered())
        self.assertIn("cannot undo the order in /system-update", str(self.host.log))

    def test_another_updaters_boot_is_left_to_it(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.order("/var/lib/another")
        self.assert_comes_back()
        self.assertEqual(self.maintenance_calls(), 0)

    def test_patchit_off_on_the_command_line_installs_nothing(self):
        self.host.write(PATCHIT, play("exit 0"), 0o755)
        self.order()
        self.host.start("patchit=off")
        self.host.wait_for(lambda: len(self.host.boots) >= 2, 60, "boot 2")
        self.host.wait_for(self.at_normal_level, 60, "the normal level")
        self.assertEqual(self.maintenance_calls(), 0)

    def test_a_normal_boot_does_not_wait_for_patchit(self):
        self.host.write(PATCHIT, play("sleep 600"), 0o755)
        self.host.boot(timeout=30)
        self.host.wait_for(lambda: self.calls() == ["called:--finish --wait"], 10, "patchit --finish")
        self.assertEqual(self.host.output(["systemctl", "is-system-running"]).strip(), "running")


del Boots

if __name__ == "__main__":
    unittest.main()
