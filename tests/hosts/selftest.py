"""What the tests may rely on, shown on real hosts: `python3 -m tests.hosts.selftest [TEST…]`."""

import concurrent.futures
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
import unittest
from pathlib import Path

from . import cgroup, guarded, packages, roots
from .disk import inside, refuse_shared
from .error import LabError
from .host import Host
from .lab import Lab
from .net import Net
from .power import End
from .server import Server
from .wait import wait_for

TREE = Path(__file__).parents[2]

MAIL = """
import smtplib, ssl, sys
address, authority, user, password = sys.argv[1:]
trust = ssl.create_default_context(cafile=authority)
for port in (25, 587, 465):
    line = smtplib.SMTP_SSL(address, port, context=trust) if port == 465 else smtplib.SMTP(address, port)
    if port != 465:
        line.starttls(context=trust)
    if port != 25:
        line.login(user, password)
    line.sendmail("root@web01", ["ops@example.org"], f"Subject: from {port}\\n\\npatched\\n")
    line.quit()
"""

FETCH = """
import ssl, sys, urllib.request
address, authority = sys.argv[1:]
urllib.request.install_opener(urllib.request.build_opener(urllib.request.ProxyHandler({}),
    urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority))))
for scheme in ("http", "https"):
    print(urllib.request.urlopen(f"{scheme}://{address}/cluster/file").read().decode())
"""

# Debian starts `single` side by side with a script whose header says less than this.
MAINTENANCE_SCRIPT = """#!/bin/sh
### BEGIN INIT INFO
# Provides: maintain
# Required-Start: $remote_fs killprocs
# Required-Stop:
# X-Start-Before: single
# Default-Start: 1
# Default-Stop:
# Short-Description: note what a maintenance boot is like
### END INIT INFO
[ "$1" = start ] || exit 0
{ runlevel; pgrep -c cron; pgrep -fc '[s]leep infinity'; } >/root/maintenance
"""

UPDATE_UNIT = """[Unit]
DefaultDependencies=no
Requires=sysinit.target
After=sysinit.target system-update-pre.target
Before=system-update.target
SuccessAction=reboot
FailureAction=reboot

[Service]
Type=oneshot
ExecStart=/bin/sh -c 'rm /system-update; systemctl is-active cron multi-user.target >/root/maintenance; sleep 1'
"""

KILLED = """
from tests.hosts.host import Host
host = Host("killed", "sysv")
host.boot()
print("booted", flush=True)
import time
time.sleep(60)
"""


def boot_identity(host):
    """What tells one boot from another."""
    return (host.read("/proc/sys/kernel/random/boot_id").strip(), host.read("/proc/1/stat").rsplit(")", 1)[1].split()[19])


def can_reach(host, address, port):
    """A program on the host gets a TCP connection."""
    return host.run(["timeout", "1", "bash", "-c", f"exec 3<>/dev/tcp/{address}/{port}"]).returncode == 0


class Hosts(unittest.TestCase):
    """One host of each kind, booted once for all tests; each test leaves them running at their normal level."""

    @classmethod
    def setUpClass(cls):
        cls.lab = Lab()
        cls.addClassCleanup(cls.lab.close)
        cls.net = Net(cls.lab)
        cls.server = Server(cls.net)
        cls.sysv = Host("old", "sysv", cls.net)
        cls.systemd = Host("new", "systemd", cls.net)
        for host in (cls.sysv, cls.systemd):
            host.write("/etc/cron.d/boot", "@reboot root echo ran >>/root/cron\n")
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Host.boot, (cls.server, cls.sysv, cls.systemd)))
        cls.server.wait_ready()
        cls.both = (cls.sysv, cls.systemd)

    def setUp(self):
        for host in self.both:
            host.wait_up() if host.is_on else host.boot()

    def test_hosts_reach_their_normal_level_and_cron_runs_jobs(self):
        self.assertEqual(self.sysv.level(), "2")
        self.assertEqual(self.systemd.level(), "graphical.target")
        for host in self.both:
            host.wait_for(lambda host=host: host.exists("/root/cron"), 10, "a job of cron")

    def test_hosts_have_names_and_identities_of_their_own(self):
        self.assertEqual([host.output(["hostname"]).strip() for host in self.both], ["old", "new"])
        identities = {host.read("/etc/machine-id") for host in (*self.both, self.server)}
        self.assertEqual(len(identities), 3)
        self.assertNotIn(Path("/etc/hostname").read_text().strip(), [host.read("/etc/hostname").strip() for host in self.both])

    def test_commands_run_with_code_input_and_deadline(self):
        for host in self.both:
            done = host.run("cat; echo oops >&2; exit 7", stdin="text")
            self.assertEqual((done.returncode, done.stdout, done.stderr), (7, "text", "oops\n"))
            with self.assertRaisesRegex(LabError, "not done after"):
                host.run("sleep 4242", timeout=0.5)
            self.assertNotEqual(host.run(["pgrep", "-f", "^sleep 4242"]).returncode, 0)

    def test_a_reboot_is_another_boot_and_the_network_is_back(self):
        for host in self.both:
            number, before = len(host.boots), boot_identity(host)
            host.reboot()
            after = boot_identity(host)
            self.assertEqual(len(host.boots), number + 1)
            self.assertNotEqual(before[0], after[0])
            self.assertNotEqual(before[1], after[1])
            self.assertTrue(can_reach(host, "server", 25))

    def test_a_power_cut_ends_everything_at_once_and_keeps_the_disk(self):
        for host in self.both:
            host.run("echo kept >/root/kept; (trap '' TERM; exec sleep infinity) >/dev/null 2>&1 &")
            start = time.monotonic()
            host.power_cut()
            self.assertLess(time.monotonic() - start, 1)
            self.assertIs(host.end, End.CUT)
            self.assertEqual(host.read("/root/kept"), "kept\n")
            host.boot()
            self.assertNotEqual(host.run(["pgrep", "-f", "^sleep infinity"]).returncode, 0)

    def test_an_orderly_poweroff_is_told_from_a_power_cut(self):
        for host in self.both:
            host.poweroff()
            self.assertIs(host.end, End.POWEROFF)
            host.boot()

    def test_words_on_the_command_line_hold_for_one_boot(self):
        for host in self.both:
            host.power_cut()
            host.boot("patchit=off")
            self.assertIn(" patchit=off", host.read("/proc/cmdline"))
            host.reboot()
            self.assertNotIn("patchit=off", host.read("/proc/cmdline"))

    def test_single_on_the_command_line_stays_in_single_user_mode(self):
        for host, word, level in ((self.sysv, "single", "S"), (self.systemd, "single", "rescue.target"),
                                  (self.systemd, "emergency", "emergency.target")):
            host.power_cut()
            host.boot(word)
            time.sleep(1)
            self.assertEqual(host.level(), level)
            self.assertNotEqual(host.run(["pgrep", "cron"]).returncode, 0)
            host.reboot()
            self.assertEqual(host.run(["pgrep", "cron"]).returncode, 0)

    def test_sysvinit_boots_into_level_1_where_a_script_runs_before_single(self):
        host = self.sysv
        host.write("/etc/init.d/maintain", MAINTENANCE_SCRIPT, 0o755)
        host.output(["update-rc.d", "maintain", "defaults"])
        order = sorted(path.name for path in host.path("/etc/rc1.d").glob("S*"))
        self.assertEqual([name[3:] for name in order][-2:], ["maintain", "single"])
        self.assertLess(order[-2][:3], order[-1][:3])
        host.output(["sed", "-i", "s/^id:2:initdefault:/id:1:initdefault:/", "/etc/inittab"])
        host.reboot()
        self.assertIn(host.level(), "1S")
        self.assertEqual(host.read("/root/maintenance").split("\n")[:3], ["N 1", "0", "0"])
        host.output(["sed", "-i", "s/^id:1:initdefault:/id:2:initdefault:/", "/etc/inittab"])
        host.reboot()
        self.assertEqual(host.level(), "2")

    def test_systemd_boots_into_system_update_and_back(self):
        host = self.systemd
        host.write("/etc/systemd/system/maintain.service", UPDATE_UNIT)
        host.symlink("../maintain.service", "/etc/systemd/system/system-update.target.wants/maintain.service")
        host.symlink("/var/lib/update", "/system-update")
        boots = len(host.boots)
        host.run(["reboot"])
        host.wait_for(lambda: host.level() == "system-update.target", 60, "the offline update")
        host.wait_up(boots + 2)
        self.assertFalse(host.exists("/system-update"))
        self.assertEqual(host.read("/root/maintenance").split("\n")[:2], ["inactive", "inactive"])
        self.assertEqual(host.level(), "graphical.target")

    def test_a_service_is_kept_running_by_the_init(self):
        for host in self.both:
            host.add_service("ticker", "/bin/sleep", "4343")
            host.reboot()
            first = host.wait_for(lambda host=host: host.run(["pgrep", "-f", "^/bin/sleep 4343"]).stdout, 10, "the service")
            host.output(["kill", first.strip()])
            host.wait_for(lambda host=host: host.run(["pgrep", "-f", "^/bin/sleep 4343"]).stdout not in ("", first), 10,
                          "another")

    def test_a_power_cut_in_the_middle_of_a_reboot_ends_it(self):
        for host in self.both:
            boots = len(host.boots)
            host.run(["reboot"])
            host.wait_for(lambda host=host: len(host.boots) > boots, 30, "the next boot")
            host.power_cut()
            self.assertIs(host.end, End.CUT)
            host.boot()

    def test_hosts_know_one_another_by_name(self):
        for host in self.both:
            self.assertEqual(host.output(["getent", "hosts", "old", "new", "server"]).split()[1::2], ["old", "new", "server"])
        with self.assertRaisesRegex(LabError, "refusing old"):
            Host("old", "sysv", self.net)

    def test_a_host_can_be_cut_off_and_put_back(self):
        for host in self.both:
            host.link.cut()
            self.assertFalse(can_reach(host, "server", 80))
            host.link.restore()
            host.wait_for(lambda host=host: can_reach(host, "server", 80), 10, "the network")

    def test_a_host_reaches_neither_the_machine_nor_its_clock(self):
        for host in self.both:
            self.assertEqual(host.output(["ip", "route", "show", "default"]), "")
            self.assertNotEqual(host.run(["date", "-s", "@1"]).returncode, 0)
            self.assertNotEqual(host.run(["sysctl", "-w", "kernel.printk=1 1 1 1"]).returncode, 0)

    def test_mail_arrives_over_every_port_and_fails_as_told(self):
        smtp = self.server.smtp
        client = (sys.executable, "-c", MAIL, self.server.link.address, self.server.authority.certificate, smtp.user,
                  smtp.password)
        self.net.run(*client)
        self.assertEqual([message["subject"] for message in smtp.messages()], ["from 25", "from 587", "from 465"])
        kept = [line for line in smtp.envelopes() if line["stage"] == "data"]
        self.assertEqual([line["user"] for line in kept], [None, "patch", "patch"])
        self.assertTrue(all(line["tls"] for line in kept))
        for stage, how, seen in (("data", "451 busy", "451"), ("rcpt", "550 nobody", "550"), ("mail", "drop", "Disconnected")):
            smtp.fail(stage, how)
            with self.assertRaisesRegex(LabError, seen):
                self.net.run(*client)
        smtp.recover()
        self.assertEqual(len(smtp.messages()), 3)

    def test_files_are_served_by_http_and_https(self):
        with tempfile.TemporaryDirectory() as folder:
            Path(folder, "cluster").mkdir()
            Path(folder, "cluster/file").write_text("content")
            self.server.www.publish(folder)
        client = (sys.executable, "-c", FETCH, self.server.link.address, self.server.authority.certificate)
        self.assertEqual(self.net.run(*client).stdout, "content\ncontent\n")
        self.assertEqual([line["status"] for line in self.server.www.requests()][-2:], [200, 200])

    def test_an_authority_is_trusted_by_the_hosts_that_are_told_to(self):
        self.server.authority.trust(self.sysv)
        check = ["openssl", "s_client", "-verify_return_error", "-connect", "server:443", "-verify_hostname", "server"]
        self.assertEqual(self.sysv.run(check).returncode, 0)
        self.assertNotEqual(self.systemd.run(check).returncode, 0)

    def test_tiny_packages_are_upgraded_by_apt_and_break_as_told(self):
        host = self.sysv
        with tempfile.TemporaryDirectory() as folder:
            packages.build(folder, "tiny", "1.0")
            packages.build(folder, "asks", "1.0", packages.ASKS)
            packages.index(folder)
            packages.offer(host, folder)
            host.output("apt-get -q update && apt-get -qy install tiny")
            packages.build(folder, "tiny", "2.0", packages.FAILS)
            packages.index(folder)
            packages.offer(host, folder)
        self.assertNotEqual(host.run("apt-get -q update && apt-get -qy dist-upgrade").returncode, 0)
        self.assertIn("2.0 half-configured", host.output(["dpkg-query", "-W", "-f", "${Version} ${db:Status-Status}", "tiny"]))
        self.assertNotEqual(host.run(["apt-get", "-qy", "install", "asks"]).returncode, 0)
        host.output(["dpkg", "--purge", "--force-all", "tiny", "asks"])

    def test_a_tree_is_installed_with_its_modes_through_the_links_of_the_root(self):
        host = self.systemd
        with tempfile.TemporaryDirectory() as folder:
            for name, mode in (("lib/systemd/system/some.service", 0o644), ("usr/sbin/tool", 0o750), ("etc/patch/key", 0o600)):
                packages.place(folder, name, "text", mode)
            host.install_tree(folder)
        self.assertTrue(host.path("/").joinpath("lib").is_symlink())
        self.assertEqual(host.read("/usr/lib/systemd/system/some.service"), "text")
        self.assertEqual(host.output(["stat", "-c", "%a %U", "/usr/sbin/tool", "/etc/patch/key"]), "750 root\n600 root\n")

    def test_links_are_read_as_the_host_reads_them(self):
        self.sysv.symlink("/etc/real", "/etc/linked")
        self.sysv.write("/etc/real/file", "its own")
        self.assertEqual(self.sysv.read("/etc/linked/file"), "its own")
        with tempfile.TemporaryDirectory() as folder:
            os.symlink("..", f"{folder}/up")
            self.assertEqual(inside(folder, "up/up/etc/passwd"), Path(folder, "etc/passwd"))

    def test_a_disk_can_be_full(self):
        with Host("full", "sysv", lab=self.lab, size="16m") as host:
            host.boot()
            self.assertIn("No space left", host.run("cat /dev/zero >/var/lib/filled").stderr)

    def test_a_root_on_the_machines_disk_is_refused(self):
        for folder in ("/", "/var/tmp", self.sysv.disk.home):
            with self.assertRaisesRegex(LabError, "refusing"):
                refuse_shared(self.lab, folder)
        refuse_shared(self.lab, self.sysv.disk.root)

    def test_the_archive_has_something_to_upgrade_to(self):
        self.assertTrue(roots.newer_packages("sysv") or roots.earlier_packages("sysv"))

    def test_four_hosts_boot_side_by_side(self):
        hosts = [Host(f"web{number}", kind, self.net) for number, kind in enumerate(("sysv", "systemd") * 2)]
        with concurrent.futures.ThreadPoolExecutor() as pool:
            list(pool.map(Host.boot, hosts))
            list(pool.map(Host.reboot, hosts))
        self.assertTrue(all(can_reach(host, "server", 80) for host in hosts))
        for host in hosts:
            host.stop()


class Walls(unittest.TestCase):
    """Nothing is left on the machine, and what would be left is seen."""

    def test_a_killed_program_takes_its_hosts_with_it(self):
        program = subprocess.Popen([sys.executable, "-c", KILLED], cwd=TREE, stdout=subprocess.PIPE, text=True)
        self.assertEqual(program.stdout.readline(), "booted\n")
        program.send_signal(signal.SIGKILL)
        program.communicate()
        wait_for(lambda: b"killed" not in all_command_lines(), cgroup.PATIENCE, "the end of the guest")
        with Lab():
            pass  # sweeps the control groups of the dead, but for those in which somebody has yet to end
        wait_for(lambda: is_swept(program.pid), cgroup.PATIENCE, "the end of the control groups")

    def test_the_guard_names_what_is_left_behind(self):
        mess = "mount -t tmpfs mess /mnt; ip link add mess0 type veth peer mess1; setsid env -i sleep 30 >/dev/null 2>&1 & sleep 0.2"
        command = ["unshare", "--mount", "--net", sys.executable, "-m", "tests.hosts", "guard", "--", "sh", "-c", mess]
        done = subprocess.run(command, cwd=TREE, capture_output=True, text=True)
        self.assertEqual(done.returncode, 1)
        for trace in ("mount: /mnt tmpfs mess", "interface: mess0", "sleep 30"):
            self.assertIn(trace, done.stderr)
        os.kill(int(re.search(r"process: (\d+) .* sleep 30", done.stderr)[1]), signal.SIGKILL)


def is_swept(program):
    """Nothing is left of the control groups of a program; what is left is swept."""
    cgroup.sweep()
    return program not in map(cgroup.owner_of, cgroup.guests())


def all_command_lines():
    """The command lines of every process of the machine."""
    lines = b""
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            lines += Path(f"/proc/{pid}/cmdline").read_bytes()
        except OSError:
            continue
    return lines


if __name__ == "__main__":
    sys.exit(guarded.main(__name__, "hosts"))
