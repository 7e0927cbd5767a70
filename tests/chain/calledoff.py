"""Called off by hand, in every state up to and in the maintenance boot: `rm /etc/patchflag`, and `rm /etc/patch*`."""

from . import orders, rig as rigs
from .rig import check, equal
from .runner import case

FLAG = "rm /etc/patchflag"
# The directory /etc/patch makes rm say no, after it has removed everything else.
ALL = "rm -f /etc/patch* 2>/dev/null || true"


def tell(rig, removal):
    """Whether a journal is left to tell of it."""
    rig.called_off(mail=removal == FLAG)
    rig.host.run("rm -rf /etc/patchlog.* /var/spool/patch")


@case()
def removed_while_armed_or_staged_nothing_comes_of_it(rig):
    """Without a single tick there is nothing to tell; a staged run says that it was called off."""
    for removal in (FLAG, ALL):
        rig.arm()
        rig.host.output(removal)
        rig.tick("patchit")
        rig.called_off(mail=False)
        rig.stage()
        rig.host.output(removal)
        rig.tick("grab-patch")
        rig.tick("patch-stage", "dump", "--", "touch", "/stage-ran")
        rig.tick("patchit")
        tell(rig, removal)
    check(not rig.host.exists("/stage-ran"), "no stage has run")


@case()
def removed_while_the_server_is_away_nothing_comes_of_it(rig):
    """Fetching, between two ticks, and then in the middle of one: grab-patch finds the flag gone when the server answers."""
    for removal in (FLAG, ALL):
        rig.configure(server="/srv/away", retry_for="1s")
        rig.arm()
        rig.tick("grab-patch", code=69)
        rig.host.output(removal)
        rig.tick("patchit", "--finish")
        tell(rig, removal)
        rig.configure(server="/srv/away", retry_for="30s")
        rig.arm()
        rig.spawn("sh -c 'grab-patch; echo $? >/var/log/case.code'")
        rig.host.wait_for(lambda: rig.state() == "fetching", 10, "the first record")
        rig.host.output(removal)
        rig.host.output("mv /srv/patch /srv/away")
        rig.host.wait_for(lambda: rig.host.exists("/var/log/case.code") and rig.host.read("/var/log/case.code"), 40, "grab-patch")
        equal(rig.host.read("/var/log/case.code").strip(), "0", "the exit code of grab-patch")
        rig.host.output("mv /srv/away /srv/patch; rm /var/log/case.code")
        rig.tick("patchit", "--finish")
        tell(rig, removal)
    rig.configure()


@case()
def removed_after_the_order_the_next_tick_undoes_it(rig):
    """The shutdown never came, and patchit is dead: no reboot, no trigger."""
    for removal in (FLAG, ALL):
        boots = len(rig.host.boots)
        rig.order()
        rig.host.output(removal)
        rig.tick("patchit", "--finish")
        equal(len(rig.host.boots), boots, "boots")
        tell(rig, removal)


def removed_on_the_way_down(rig, removal):
    """The order is given, patchit waits for the shutdown: the maintenance boot finds no flag and leads straight back."""
    rig.stage()
    with rig.held_reboot():
        rig.host.output(removal)
        rig.tick("patchit", "--finish")
    number = len(rig.host.boots) + 2
    rig.host.run(["reboot"])
    rig.back(number)
    rig.finish()
    tell(rig, removal)


@case()
def patchflag_removed_on_the_way_down(rig):
    """With the journal left."""
    removed_on_the_way_down(rig, FLAG)
    rig.works()


@case()
def everything_removed_on_the_way_down(rig):
    """With nothing left but the order at init."""
    removed_on_the_way_down(rig, ALL)
    rig.works()


def removed_in_the_maintenance_boot(rig, removal):
    """Before patchit looks."""
    rig.around(f"{removal}\nexec /usr/sbin/patchit.real")
    rig.stage()
    rig.go()
    rig.finish()
    tell(rig, removal)


@case()
def patchflag_removed_in_the_maintenance_boot(rig):
    """With the journal left."""
    removed_in_the_maintenance_boot(rig, FLAG)


@case()
def everything_removed_in_the_maintenance_boot(rig):
    """With nothing left but the order at init."""
    removed_in_the_maintenance_boot(rig, ALL)


# The unlink of the flag is held for a moment; the administrator's comes in between.
LAST_MOMENT = """\
(until grep -q state=starting /etc/patchlog; do :; done; {removal}) &
exec strace -f -qq -o /dev/null -e trace=unlink,unlinkat -e inject=unlink,unlinkat:delay_enter=1s /usr/sbin/patchit.real"""


@case()
def patchflag_removed_in_the_last_moment(rig):
    """Between `starting` and the lowering of the flag: lowering is the test, nothing is installed."""
    rig.around(LAST_MOMENT.format(removal=FLAG))
    rig.stage()
    rig.go()
    rig.finish()
    check("starting" in rig.ended() and "installing" not in rig.ended(), f"states {rig.ended()}")
    tell(rig, FLAG)


@case()
def everything_removed_in_the_last_moment(rig):
    """The same, and the journal is gone under patchit's hands."""
    rig.around(LAST_MOMENT.format(removal=ALL))
    rig.stage()
    rig.go()
    rig.finish()
    tell(rig, ALL)


@case()
def everything_removed_during_the_installation_does_not_keep_the_host_down(rig):
    """Too late to call anything off; the host comes back all the same, has no flags, and the next order works."""
    rig.stage()
    rig.host.write(rigs.GATE, "")
    number = len(rig.host.boots) + 2
    rig.spawn("patchit")
    rig.host.wait_for(lambda: rig.host.init_pid and rig.host.exists(rigs.REACHED), 60, "the installation")
    rig.host.run(ALL)
    rig.host.remove(rigs.GATE)
    rig.back(number)
    rig.finish()
    rig.idle()
    equal(len(rig.installs()), 1, "installations")
    rig.works()


@case()
def removed_beside_what_a_killed_tool_has_left(rig):
    """The run ends as its journal says, or not at all where that is gone too; nothing is installed, nothing stays."""
    for removal in (FLAG, ALL):
        for left, ends, subject, _ in orders.LEFT:
            words = f"{removal} beside {left[-1]}"
            rig.host.run("rm -rf /var/spool/patch /etc/patchlog.*")
            rig.stage()
            orders.leave(rig, left)
            rig.host.output(removal)
            rig.host.run(["patchit", "--finish"])
            rig.host.run(["patchit"])
            rig.idle()
            wanted = int(subject is not None and removal == FLAG)
            equal(len(rig.mails()), wanted, f"{words}: mails {rig.subjects()}")
            check(removal == ALL or rig.ended()[-1] == ends, f"{words}: how the run ended")
            equal(rig.installs(), [], f"{words}: installations")
