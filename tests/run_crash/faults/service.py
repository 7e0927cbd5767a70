"""The lock service is away, or does not answer."""

import os
import signal
import threading

from tests.hosts.wait import wait_for

from ..host import DIALECTS
from ..scenes import failed, must
from .night import check, goes_on, night, refuses


@night(*DIALECTS)
def a_service_that_is_away_at_release_is_asked_until_it_is_back(host):
    """The run stays in its last phase, and nothing runs again."""
    away(host)
    check(host.run() == 69, f"code {host.codes[-1]}: {host.errors}")
    for _ in range(3):
        check(host.state() == "lock_release\n", f"the state is {host.state()!r}")
        refuses(host, 69)
    check(host.history()[1] == [host.name], "the lock is not held any more")
    host.relay.before = lambda *_: None
    goes_on(host)


@night(*DIALECTS)
def a_signal_while_the_lock_is_given_back_is_no_failure(host):
    """SIGTERM when the service does not answer: nobody is alarmed, and the next start goes on."""
    asked, gate = threading.Event(), threading.Event()

    def hang(method, path):
        if method == "DELETE" or path.endswith("/release"):
            asked.set()
            gate.wait(20)
            raise ConnectionError

    host.relay.before = hang
    process = host.start()
    check(asked.wait(20), "nothing is given back")
    os.kill(host.driver(), signal.SIGTERM)
    gate.set()
    check(host.finish(process) == 128 + signal.SIGTERM, f"code {host.codes[-1]}: {host.errors}")
    check(not any(line.script == "on_failure.d/10-alarm" for line in host.lines()), "somebody is alarmed")
    check(host.state() == "lock_release\n", f"the state is {host.state()!r}")
    host.relay.before = lambda *_: None
    goes_on(host)


def away(host):
    """Nobody can give a lock back."""
    def hang_up(method, path):
        if method == "DELETE" or path.endswith("/release"):
            raise ConnectionError

    host.relay.before = hang_up


@night(*DIALECTS)
def a_service_that_is_away_is_a_no_until_the_reboot_and_nobody_s_business_behind_it(host):
    """W3: updates run without lock. Behind the reboot the host is brought back into service all the same."""
    def hang_up(*_):
        raise ConnectionError

    host.relay.before = hang_up
    refuses(host, 69, runs=["needs_update.d/10-ask"])
    host.relay.before = lambda *_: None
    host.write("kernel", "")
    failed(host)
    host.relay.before = hang_up
    refuses(host, 69)
    host.relay.before = lambda *_: None
    must(host, 0)
    host.boot()
    host.relay.before = hang_up
    refuses(host, 69, argv=("--after_reboot",), runs=["post_update.d/10-start", "post_update.d/20-check"])
    host.relay.before = lambda *_: None
    goes_on(host, kernel=True)


@night()
def a_signal_while_it_waits_for_the_lock_leaves_nothing_held(host):
    """SIGTERM to a driver in the queue."""
    host.configure(wait="yes")
    host.occupy()
    process = host.start()
    wait_for(lambda: "asking for lock" in host.log(), 20)
    wait_for(lambda: len(host.relay.asked) or host.service("GET", f"/lock/1/locks/{host.lock}").get("queue"), 20)
    os.kill(host.driver(), signal.SIGTERM)
    code = host.finish(process)
    check(code == 143, f"code {code}: {host.errors}")
    host.vacate()
    host.configure()
    goes_on(host)
