"""What tests may rely on in virtual machines, shown on real ones: `python3 -m tests.hosts.vm_selftest [TEST…]`."""

import re
import sys
import unittest

from . import guarded, vm
from .error import LabError
from .lab import Lab

# Writes without end. Every line of `synced` is fsynced before the console says so; `forgotten` gets the same lines, and is
# never synced. `renamed` is replaced by draft, fsync, rename, fsync of the folder. `doubtful` goes to the disk all the
# while, past the page cache and without a flush.
WRITER = r"""
cd /var/lib/writer
dd if=/dev/zero of=doubtful bs=4k count=100000 oflag=direct 2>/dev/null &
n=0
while :; do
    n=$((n + 1))
    echo "line $n" | tee -a forgotten >>synced
    echo "$n" >draft
    sync draft
    mv draft renamed
    sync synced .
    echo "writer: $n" >/dev/console
done
"""


class Machines(unittest.TestCase):
    """One machine of each init. Each test finds it off and leaves it off: only one is on at a time."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.sysv = vm.Machine("old", "sysv", cls.lab)
        cls.systemd = vm.Machine("new", "systemd", cls.lab)

    def tearDown(self):
        for machine in (self.sysv, self.systemd):
            if machine.is_on:
                machine.kill()

    def boots_runs_and_reboots(self, machine, level):
        machine.boot()
        self.assertEqual(machine.level(), level)
        done = machine.run("cat; uname -n; echo oops >&2; exit 7", stdin="text\n")
        self.assertEqual((done.returncode, done.stdout, done.stderr), (7, f"text\n{machine.name}\n", "oops\n"))
        with self.assertRaisesRegex(LabError, "not done after"):
            machine.run("sleep 4242", timeout=2)
        number, before = len(machine.boots), machine.read("/proc/sys/kernel/random/boot_id")
        machine.run("echo kept >/root/kept")
        machine.reboot()
        self.assertEqual(len(machine.boots), number + 1)
        self.assertNotEqual(machine.read("/proc/sys/kernel/random/boot_id"), before)
        machine.poweroff()
        self.assertEqual(machine.read("/root/kept"), "kept\n")

    def test_sysvinit_boots_runs_commands_and_reboots(self):
        self.boots_runs_and_reboots(self.sysv, "2")

    def test_systemd_boots_runs_commands_and_reboots(self):
        self.boots_runs_and_reboots(self.systemd, "graphical.target")

    def write_until(self, machine, lines):
        """Have the writer write so many lines; returns how many the console had promised a moment later."""
        machine.run("rm -rf /var/lib/writer; mkdir /var/lib/writer; sync")
        start = len(machine.console())
        machine.begin(WRITER)
        machine.wait_for(lambda: promised(machine, start) >= lines, 120, f"{lines} lines", interval=0.02)
        return promised(machine, start)

    def read_back(self, machine, promise):
        """Everything promised is there after the next boot, the file system is sound, and of what was never synced the end is gone."""
        code, said = machine.disk.check()
        self.assertLessEqual(code, 1, said)
        machine.boot()
        lines = machine.read("/var/lib/writer/synced").splitlines()
        self.assertGreaterEqual(len(lines), promise)
        self.assertEqual(lines[:promise], [f"line {number}" for number in range(1, promise + 1)])
        self.assertGreaterEqual(int(machine.read("/var/lib/writer/renamed")), promise)
        self.assertIn("rw", machine.output("grep ' / ' /proc/mounts | cut -d ' ' -f 4"))
        self.assertLess(len(machine.run("cat /var/lib/writer/forgotten").stdout.splitlines()), promise)

    def test_a_kill_loses_what_was_not_synced_and_nothing_else(self):
        for machine in (self.sysv, self.systemd):
            machine.boot()
            promise = self.write_until(machine, 10)
            machine.kill()
            self.read_back(machine, promise)
            machine.poweroff()

    def test_a_disk_that_loses_its_cache_keeps_what_was_flushed(self):
        doubts = 0
        for seed in range(3):
            self.sysv.boot()
            promise = self.write_until(self.sysv, 10)
            kept, lost = self.sysv.cut(seed)
            doubts += kept + lost
            self.read_back(self.sysv, promise)
            self.sysv.kill()
        self.assertGreater(doubts, 0, "nothing was ever in doubt: this proves no more than a kill")

    def test_a_writer_without_fsync_loses_lines_that_it_promised(self):
        careless = WRITER.replace("    sync draft\n", "").replace("    sync synced .\n", "")
        self.sysv.boot()
        self.sysv.run("rm -rf /var/lib/writer; mkdir /var/lib/writer; sync")
        start = len(self.sysv.console())
        self.sysv.begin(careless)
        self.sysv.wait_for(lambda: promised(self.sysv, start) >= 50, 120, "50 lines", interval=0.02)
        promise = promised(self.sysv, start)
        self.sysv.kill()
        synced = self.sysv.path("/var/lib/writer/synced")
        self.assertLess(len(synced.read_text().splitlines()) if synced.exists() else 0, promise)

    def test_harsher_mount_options_hold_for_the_root(self):
        self.sysv.boot(rootflags=vm.HARSH)
        options = self.sysv.output("grep ' / ' /proc/mounts | cut -d ' ' -f 4").strip().split(",")
        self.assertTrue({"rw", "data=writeback", "nodelalloc", "commit=1"} <= set(options), options)

    def test_a_command_that_the_machine_reboots_under_is_lost(self):
        self.sysv.boot()
        with self.assertRaises(vm.Lost):
            self.sysv.run("reboot -f; sleep 100", timeout=100)
        self.sysv.wait_up(len(self.sysv.boots))

    def test_files_are_written_while_it_is_off(self):
        self.systemd.write("/etc/some/file", "text", 0o600)
        self.systemd.symlink("file", "/etc/some/link")
        self.systemd.boot()
        self.assertEqual(self.systemd.output("stat -c %a /etc/some/file; cat /etc/some/link"), "600\ntext")
        with self.assertRaisesRegex(LabError, "it is on"):
            self.systemd.path("/etc")


def promised(machine, start):
    """The last number that the writer put on the console."""
    numbers = re.findall(r"writer: (\d+)\n", machine.console()[start:])
    return int(numbers[-1]) if numbers else 0


if __name__ == "__main__":
    sys.exit(guarded.main(__name__, "vm"))
