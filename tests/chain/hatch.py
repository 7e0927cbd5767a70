"""Who comes to single-user mode by another way than our order is left alone: nothing is patched, and nobody is rebooted away."""

import time

from .rig import check, equal
from .runner import case

ALONE = 1.5  # longer than patchit takes to decide, install and ask for a reboot
DOWN = {"sysv": ("init 1", "S"), "systemd": ("systemctl rescue", "rescue.target")}
WORDS = {"sysv": ("single", "S"), "systemd": ("systemd.unit=rescue.target", "rescue.target")}


def single(rig, level):
    """Wait for single-user mode, then see that it lasts: no reboot, no installation, whatever ticks."""
    rig.host.wait_for(lambda: rig.host.level() == level, 30, level)
    boots, trigger, names = len(rig.host.boots), rig.trigger(), rig.names()
    rig.host.run(["patchit"])
    rig.host.run(["patchit", "--finish"])
    rig.host.run(["grab-patch", "-n"])
    time.sleep(ALONE)
    equal((len(rig.host.boots), rig.host.level()), (boots, level), "boots, and the level that the administrator went to")
    equal(rig.installs(), [], "installations")
    equal(rig.names(), names, "the flags")
    return trigger


def by_hand(rig):
    """How an administrator goes to single-user mode, how that level is called, and the way back to this host's normal level."""
    down, level = DOWN[rig.kind]
    return down, level, "systemctl default" if rig.kind == "systemd" else f"init {rig.normal}"


def there_and_back(rig):
    """To single-user mode by hand and back to the normal level, with whatever is up."""
    down, level, up = by_hand(rig)
    rig.spawn(down)
    trigger = single(rig, level)
    equal(rig.trigger(), trigger, "the order at init")
    rig.spawn(up)
    rig.settle()
    equal(rig.installs(), [], "installations")


@case()
def single_user_mode_by_hand_patches_nothing(rig):
    """Idle, armed and staged; the run that was staged is still good."""
    there_and_back(rig)
    rig.arm()
    there_and_back(rig)
    equal(rig.status()["state"], "armed", "the state")
    rig.tick("grab-patch")
    there_and_back(rig)
    equal(rig.status()["state"], "staged", "the state")
    rig.go()
    rig.finish()
    rig.patched()


@case()
def single_user_mode_by_hand_is_no_ordered_boot(rig):
    """The boot was ordered and never came; an administrator at level 1 is not it."""
    rig.order()
    boots = len(rig.host.boots)
    down, level, up = by_hand(rig)
    rig.spawn(down)
    single(rig, level)
    rig.spawn(up)
    rig.settle()
    equal((len(rig.host.boots), rig.installs()), (boots, []), "boots and installations")
    rig.configure(boot_wait="1s")
    rig.finish()
    equal(rig.ended()[-2:], ["failing", "failed"], "how the run ended")
    rig.idle()


def boots_single(rig, words, level):
    """Boot to single-user mode by the kernel's command line; nothing happens there."""
    rig.host.power_cut()
    before = rig.names(), rig.state()
    rig.host.start(words)
    trigger = single(rig, level)
    equal(rig.trigger(), trigger, "the order at init")
    equal((rig.names(), rig.state()), before, "flags and state")


@case()
def single_user_mode_from_the_boot_loader_patches_nothing(rig):
    """Staged, then ordered. Afterwards the order still stands, for the boot that it was given for."""
    rig.stage()
    boots_single(rig, *WORDS[rig.kind])
    number = len(rig.host.boots) + 1
    rig.host.power_cut()
    rig.host.start()
    rig.back(number)
    equal(rig.status()["state"], "staged", "the state")
    with rig.held_reboot():
        rig.kill("patchit")
    boots_single(rig, *WORDS[rig.kind])
    check(rig.trigger(), "the order still stands")
    number = len(rig.host.boots) + 2
    rig.host.power_cut()
    rig.host.start()
    rig.back(number)
    rig.finish()
    rig.patched()


@case("sysv")
def patchit_off_leaves_an_ordered_boot_alone(rig):
    """The host stays where the boot led, at its single-user level, and can be used; not a byte of the run has changed."""
    rig.order()
    boots_single(rig, "patchit=off", "S")
    check("patchflag: was 2" in rig.trigger(), "the order is as it was")
    equal(rig.host.output(["uname", "-n"]).strip(), rig.host.name, "the host can be used")


@case("systemd")
def patchit_off_leaves_an_ordered_update_boot_alone(rig):
    """Our unit does not start; systemd itself gives the boot up, as it does for every update that does not begin."""
    rig.order()
    rig.host.power_cut()
    number = len(rig.host.boots) + 2
    log = rig.log()
    rig.host.start("patchit=off")
    rig.back(number)
    equal(rig.installs(), [], "installations")
    check(rig.dated() == [] or rig.dated()[0].startswith(log), "the journal of the boot before")
    rig.finish()
    rig.idle()
    equal(rig.ended()[-2:], ["failing", "failed"], "how the run ended")
    rig.works()
