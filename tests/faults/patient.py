"""A host of a site whose cluster is one package, `tiny`: version 1 is installed, version 2 is offered, and does what a case says."""

import contextlib
import subprocess
import tempfile

from tests import site as sites
from tests.chain.rig import WITNESS, Rig, check, equal

POSTINST = "/var/lib/case.postinst"
CONFFILE = "/etc/tiny.conf"
# Every installation leaves its line; then comes what the case has written, if anything.
WORK = f"""
case $1 in configure) ;; *) exit 0 ;; esac
echo "run=$(sed -n 's/.* run=\\([^ ]*\\) .*/\\1/p' /etc/patchlog | tail -n 1) boot=$(cat /proc/sys/kernel/random/boot_id)" >>{WITNESS}
sync {WITNESS}
[ ! -e {POSTINST} ] || . {POSTINST} || exit 1
exit 0"""
OLD = "/var/lib/old.deb"
_old = {}


def package(folder, version, **options):
    """The package, with a configuration file that differs between the versions."""
    files = {"/usr/share/tiny/version": f"{version}\n", CONFFILE: f"version = {version}\n"}
    return sites.tiny(folder, version, files=files, conffiles=[CONFFILE], **options)


def publish(site):
    """Offer version 2 to everybody."""
    with tempfile.TemporaryDirectory() as debs:
        _old["deb"] = package(f"{debs}/old", "1").read_bytes()
        package(f"{debs}/new", "2", postinst=WORK)
        site.apt(f"{debs}/new")


class Patient(Rig):
    """A host with version 1 of the package."""

    def __init__(self, site, lab, name, kind):
        super().__init__(site, lab, name, kind)
        self.host.write(OLD, _old["deb"])
        self.host.output(["dpkg", "--install", OLD])

    def clean(self):
        """As a host of the chain; the package is at version 1 again, and the package database sound."""
        self.host.run(f"rm -rf /var/lib/case.* /var/lib/filled /var/lib/patch/cluster /etc/patchflag {CONFFILE}*")
        if self.site is None or not self.is_normal() or not super().clean():
            return False
        done = self.host.run(f"dpkg --force-confmiss --force-confnew --install {OLD} && dpkg --audit")
        return done.returncode == 0 and done.stdout.count("\n") < 8 and self.version() == "1 ii"

    def version(self):
        """What is installed, and how far."""
        return self.host.output(["dpkg-query", "-W", "-f", "${Version} ${db:Status-Abbrev}", "tiny"]).strip()

    def postinst(self, script):
        """What version 2 does when it is configured."""
        self.host.write(POSTINST, script + "\n")

    def mail(self):
        """The one mail, its subject on one line and its text on another."""
        equal(len(self.mails()), 1, f"mails {self.subjects()}")
        mail = self.mails()[0]
        return f"{mail['Subject']}\n{' '.join(mail.get_body(('plain',)).get_content().split())}"

    def failed(self, *words, subject="FAILED", sound=True, installs=1):
        """The clear end: idle, disarmed, one mail that names the cause, a dated journal, nothing of ours left in the way."""
        self.idle()
        equal(self.ended()[-1], "failed", "how the run ended")
        names = self.names()
        check("patchfailed" in names and len(names) == 2, f"patchfailed and a dated journal: {names}")
        equal(self.host.path("/etc/patchfailed").readlink().name, names[1], "where patchfailed leads")
        mail = self.mail()
        check(subject in mail.splitlines()[0], f"the subject {mail.splitlines()[0]!r}")
        for word in words:
            check(word in mail, f"the mail says {word!r}: {mail}")
        equal(len(self.installs()), installs, "installations")
        self.nothing_in_the_way()
        self.database(sound, mail)

    def nothing_in_the_way(self):
        """Neither host lock nor service policy nor reserved room nor draft is left."""
        taken = "[ ! -e /run/patch/lock ] || flock --nonblock /run/patch/lock true"
        equal(self.host.run(taken).returncode, 0, "the host lock is free")
        left = self.host.run("ls -d /usr/sbin/policy-rc.d* /etc/.patchroom /etc/.*draft /var/spool/patch/.patchroom 2>/dev/null")
        equal(left.stdout, "", "what is left behind")

    def database(self, sound, mail):
        """dpkg's database is sound, or the mail says what is broken in it."""
        audit = self.host.run("dpkg --audit; apt-get check 2>&1 >/dev/null").stdout.strip()
        equal(audit == "", sound, f"the package database is sound; dpkg says {audit!r}")
        check(sound or "cannot use the package database" in mail, f"the mail says that the database is broken: {mail}")

    def untouched(self):
        """Nothing was installed."""
        equal((self.installs(), self.version()), ([], "1 ii"), "installations, and the version")

    @contextlib.contextmanager
    def neighbour(self, *argv):
        """A program of the machine's that this host finds on its own loopback, such as a server that misbehaves."""
        self.host.output("ip link set lo up")
        command = ["nsenter", f"--target={self.host.init_pid}", "--net", *map(str, argv)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            process.stdout.readline()
            yield
        finally:
            process.kill()
            process.communicate()

    def works_again(self):
        """With the trouble gone, an administrator mends the packages and orders again."""
        self.host.run(f"rm -f {POSTINST}; dpkg --configure -a")
        equal(self.version(), "2 ii", "the package after dpkg --configure -a")
        self.host.output(["dpkg", "--install", OLD])
        self.configure()
        self.works()
        check(not self.host.exists("/etc/patchfailed"), "a confirmed run removes patchfailed")
