"""What the real clients must be able to do, and what the service must not do for them. W-numbers are those of lock-legacy(7)."""

import time

from .stage import KINDS, equal, judge
from .updaters import DEADLINE, PHASES, Foreman, Modern, Old, OldV2, PatchLock, PatchLockDlm, end_all


def the_judge_sees_two_that_are_inside_at_once(_stage):
    """Else all that follows would prove nothing."""
    equal(judge(["enter a", "leave a", "enter b", "leave b"]), (["a", "b"], 0), "one after the other")
    equal(judge(["enter a", "enter b", "leave a", "leave b"])[1] > 0, True, "both inside")
    equal(judge(["enter a", "leave b"])[1] > 0, True, "another one leaves")


def each_client_completes_a_whole_run(stage):
    """Nobody else is there: needs_update to post_update, the lock taken before and given back after; nothing is hurried."""
    case = "alone"
    for kind in KINDS:
        host = stage.host(case, kind)
        stage.ran(host, host.run())
        equal(host.traced(), PHASES, f"phases of {host.client}")
        equal(stage.service.holders(case), [], "holders afterwards")
        began, ended = stage.service.history(case)[-2:]
        equal(began, ("granted", host.name, host.protocol), "the grant in the history")
        equal(ended[:2], ("released", host.name), "the release in the history")
    equal(len(stage.inside(case)), len(KINDS), "runs")


def all_wait_in_one_queue_and_are_served_in_order(stage):
    """W34, W35, W37: every kind of client twice, while somebody holds the lock; then it goes from hand to hand.

    patch-lock as a client of dlmengine's is not there: it asks only for what it sees free, and so stands in no queue.
    """
    case, service = "queue", stage.service
    number = service.take(case, "ops")
    hosts = [stage.host(case, kind, n, hold=0.05) for n in (1, 2) for kind in KINDS if kind != PatchLockDlm]
    started = []
    try:
        for host in hosts:
            started.append(host.start(hurry=True))
        service.wait_for(lambda: len(service.waiting(case)) == len(hosts), "all to wait", 60)
        order = service.waiting(case)
        service.give(case, "ops", number)
        for host, process in zip(hosts, started):
            stage.ran(host, process.wait(DEADLINE))
            equal(host.traced(), PHASES, f"phases of {host.name}")
    finally:
        end_all(started)
    equal(stage.inside(case), order, "the order in which they were inside")


def a_lock_is_held_over_a_reboot_of_the_host_and_a_kill_of_the_service(stage):
    """W3, W7, W16, W17: the client orders a reboot, the service is killed meanwhile, the client comes back and gives back."""
    for kind in (Modern, Old, Foreman):
        case = f"reboot-{kind.__name__.lower()}"
        host = stage.host(case, kind)
        host.script("needs_reboot", "exit 1")
        host.script("reboot", "exit 0")
        stage.ran(host, host.run())
        equal(host.traced(), (*PHASES[:4], "reboot"), "phases before the reboot")
        stage.service.kill()
        stage.service.start()
        equal(stage.service.holders(case), [host.name], "holders during the reboot")
        stage.ran(host, host.run("--after_reboot"))
        equal(host.traced()[5:], ("post_update",), "phases after the reboot")
        equal(stage.service.holders(case), [], "holders afterwards")
        stage.inside(case)


def who_does_not_wait_is_told_who_holds_it_and_changes_nothing(stage):
    """W16, W38, W39."""
    case, service = "busy", stage.service
    service.take(case, "ops")
    host = stage.host(case, Modern)
    host.wait = False
    host.configure()
    stage.ran(host, host.run(), 1)
    equal(host.traced(), ("needs_update",), "phases")
    for words in ("http status_code is: 400", "Duplicate Resource", f"lock {case} is held by ops since"):
        equal(words in host.said(), True, f"{words!r} in the client's log")


def a_lock_that_was_taken_away_is_not_given_back_for_the_next_holder(stage):
    """W2, W4, W19: forced off while it updates; another one takes the lock; what the first one gives back is not that."""
    service = stage.service
    # The client of 0.4 takes "nothing there" for a fault, and says so at every run; the lock is safe all the same.
    for kind, code in ((Modern, 0), (Old, 1), (OldV2, 1), (Foreman, 1)):
        case = f"forced-{kind.__name__.lower()}"
        host = stage.host(case, kind)
        host.script("update", f"until [ -e {host.folder}/go ]; do /bin/sleep 0.05; done")
        process = host.start()
        try:
            service.wait_for(lambda: "update" in host.traced(), "the update to begin")
            service.force(case, host.name)
            other = stage.host(case, Modern, 2)
            status, _ = service.ask("POST", f"/api/v2/locks/{case}", {"acquired_by": other.name}, who=other.name)
            equal(status, 201, "the other one's acquire")
            (host.folder / "go").touch()
            stage.ran(host, process.wait(DEADLINE), code)
        finally:
            end_all([process])
        equal(service.holders(case), [other.name], "the holder")
        equal([event for event, *_ in service.history(case)], ["granted", "forced", "granted"], "the history")


def a_client_that_is_called_localhost_or_like_another_host_gets_nothing(stage):
    """W1, W4."""
    case = "clone"
    for kind in (Modern, Old, OldV2):
        for name in ("localhost", "patchlock1.lock.example"):
            host = stage.host(f"{case}/{name}", kind)
            host.lock = case
            host.wait = False
            host.configure()
            config = host.folder / "config.ini"
            if config.exists():
                config.write_text(config.read_text().replace("wait = true", "wait = false"))
            stage.ran(host, host.run(name=name), 1)
            equal(host.traced(), ("needs_update",), "phases")
            equal("refusing owner" in host.said(), True, "the reason in the client's log")
    equal(stage.service.history(case), [], "history")


def a_wrong_secret_is_a_clean_refusal(stage):
    """W38, W49, W50: it ends here, and is never answered as held."""
    for kind in (Modern, Old):
        host = stage.host("secret", kind)
        for path in (host.folder / "env", host.folder / "config.ini"):
            if path.exists():
                text = path.read_text().replace("main_wait=true", "main_wait=false").replace("wait = true", "wait = false")
                path.write_text("\n".join("main_api_secret=guess" if line.startswith("main_api_secret=") else
                                          "secret = guess" if line.startswith("secret =") else line
                                          for line in text.splitlines()))
        stage.ran(host, host.run(), 1)
        equal("no valid credential" in host.said(), True, "the reason in the client's log")
        equal("Duplicate" in host.said(), False, "held")


def foremans_calls_are_answered_as_its_plugin_does(stage):
    """W5, W6, W18, W51: status by status, with certificates of two hosts, one of them in capitals."""
    service, lock = stage.service, "7"
    small, big = (service.authority.issue(name) for name in ("foreman1.lock.example", "BIG.lock.example"))

    def call(method, certificate=small, path=f"/api/dlmlocks/{lock}/lock", who=None):
        return service.ask(method, path, None, who, certificate, {"Content-Type": "application/json"}.items())

    equal(call("GET")[1]["host"], None, "a free lock")
    equal([call("PUT")[0] for _ in range(2)], [200, 200], "acquire, and again")
    for prefix in ("/api", "/api/v1", "/api/v2"):
        for tail in ("", "/lock"):
            status, body = call("GET", path=f"{prefix}/dlmlocks/{lock}{tail}")
            equal((status, body["name"], body["enabled"], body["host"]),
                  (200, lock, True, {"name": "foreman1.lock.example", "self": True}), f"{prefix}{tail}")
    equal(call("GET", big)[1]["host"]["self"], False, "another host's look")
    for method in ("PUT", "DELETE"):
        status, body = call(method, big)
        equal((status, body["error"]["message"][:20]), (412, "Precondition failed."), f"another host's {method}")
    equal([call("DELETE")[0] for _ in range(2)], [200, 200], "release, and of a free lock")
    equal(call("PUT", big)[1]["host"], {"name": "big.lock.example"}, "a name in capitals")
    equal(service.history(lock)[-1][1], "big.lock.example", "its owner")
    equal(call("DELETE", big)[0], 200, "its release")
    equal(call("PUT", None, who="ops")[0], 403, "a secret takes nothing")
    equal(call("GET", None, who="ops")[0], 200, "a secret may look")
    equal(call("PUT", None)[0], 401, "a stranger")
    equal(call("POST")[0], 405, "another method")
    equal(call("PUT", path="/api/dlmlocks/a%2Fb/lock")[0], 404, "a name with a slash")


def a_client_that_dies_while_it_waits_is_not_granted(stage):
    """W10, W34, W40: the first in the queue is killed; the lock goes to the next."""
    case, service = "dead", stage.service
    number = service.take(case, "ops")
    dead, next_one = stage.host(case, Modern), stage.host(case, PatchLock)
    started = []
    try:
        for host in (dead, next_one):
            started.append(host.start(hurry=True))
            service.wait_for(lambda: host.name in service.waiting(case), f"{host.name} to wait")
        end_all(started[:1])
        began = time.monotonic()
        service.give(case, "ops", number)
        stage.ran(next_one, started[1].wait(DEADLINE))
        equal(time.monotonic() - began < 10, True, "the next one waits for the dead one's interval at most")
    finally:
        end_all(started)
    equal(stage.inside(case), [next_one.name], "inside")
    equal(dead.traced(), ("needs_update",), "phases of the dead one")


CASES = (
    the_judge_sees_two_that_are_inside_at_once,
    each_client_completes_a_whole_run,
    all_wait_in_one_queue_and_are_served_in_order,
    a_lock_is_held_over_a_reboot_of_the_host_and_a_kill_of_the_service,
    who_does_not_wait_is_told_who_holds_it_and_changes_nothing,
    a_lock_that_was_taken_away_is_not_given_back_for_the_next_holder,
    a_client_that_is_called_localhost_or_like_another_host_gets_nothing,
    a_wrong_secret_is_a_clean_refusal,
    foremans_calls_are_answered_as_its_plugin_does,
    a_client_that_dies_while_it_waits_is_not_granted,
)
