"""What the patches broke is found before the host is confirmed."""

from tests.chain.rig import check, equal
from tests.chain.runner import case

BREAKS = {
    "sysv": "mv /usr/sbin/cron /usr/sbin/cron.away; printf '#!/bin/sh\\nexit 1\\n' >/usr/sbin/cron; chmod 755 /usr/sbin/cron",
    "systemd": "printf '#!/bin/sh\\nexit 1\\n' >/usr/local/sbin/shop",
}


@case()
def a_service_that_the_patch_has_broken_keeps_the_host_from_being_confirmed(rig):
    """It ran before; its program is bad now, so it dies at once in every boot."""
    if rig.kind == "systemd":
        rig.host.write("/usr/local/sbin/shop", "#!/bin/sh\nexec sleep infinity\n", 0o755)
        rig.host.write("/etc/systemd/system/shop.service",
                       "[Service]\nExecStart=/usr/local/sbin/shop\n[Install]\nWantedBy=multi-user.target\n")
        rig.host.output("systemctl enable --now shop.service")
    rig.postinst(BREAKS[rig.kind])
    rig.stage()
    rig.go()
    rig.finish()
    rig.idle()
    equal((len(rig.installs()), rig.version()), (1, "2 ii"), "installations, and the package")
    check("verdict=bad" in rig.dated()[0], "the verdict")
    name = {"sysv": "cron", "systemd": "shop"}[rig.kind]
    check("NOT CONFIRMED" in rig.mail() and name in rig.mail(), f"the mail: {rig.mail()}")
    check(rig.host.exists("/etc/patchfailed"), "patchfailed is there")
    rig.nothing_in_the_way()
    rig.site = None


@case("sysv")
def a_confirmation_that_hangs_is_a_no(rig):
    """A program in confirm.d that does not end has its time, and then it has refused."""
    rig.configure(hook_timeout="1s")
    rig.host.write("/etc/patch/confirm.d/10-hangs", "#!/bin/sh\nexec sleep infinity\n", 0o755)
    rig.stage()
    rig.go()
    rig.finish()
    rig.idle()
    check("NOT CONFIRMED" in rig.mail() and "10-hangs" in rig.mail(), f"the mail: {rig.mail()}")
    check(rig.host.exists("/etc/patchfailed"), "patchfailed is there")
    equal(rig.version(), "2 ii", "the package")
