"""The clock stands before the journal's last record: nothing that is counted in time can be trusted.

A guest's clock is the machine's, so the other side is moved: a record is added as a tool writes it on a host whose clock was ahead.
"""

from datetime import datetime, timedelta, timezone

from tests.chain.rig import equal
from tests.chain.runner import case


def ahead():
    """Tomorrow."""
    return datetime.now(timezone.utc) + timedelta(days=1)


@case()
def a_clock_before_the_last_record_installs_nothing(rig):
    """Found in the maintenance boot, which leads straight back."""
    rig.order()
    rig.append('msg="the clock was ahead"', when=ahead())
    number = len(rig.host.boots) + 2
    rig.host.run(["reboot"])
    rig.back(number)
    rig.finish()
    rig.failed("clock", "before the journal's last record", installs=0)
    rig.untouched()
    rig.works()


@case("systemd")
def a_clock_before_the_last_record_stages_nothing(rig):
    """Found by the preflight."""
    rig.configure(server="/srv/away")
    rig.arm()
    rig.tick("grab-patch", code=69)
    rig.append('msg="the clock was ahead"', when=ahead())
    rig.configure()
    rig.tick("grab-patch", code=1)
    rig.failed("clock", installs=0)
    equal(rig.trigger(), "", "the order at init")
    rig.untouched()
