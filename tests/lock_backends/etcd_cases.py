"""What `patch-lock` must be able to do with three members of etcd, and what must not happen when they fail."""

import random
import threading
import time

from tests.hosts.error import LabError
from tests.hosts.wait import wait_for
from tests.lockd_clients.stage import equal

from . import kills
from .host import expect, expect_within

# Who waits looks by itself after 5 s, and without a queue after pauses of up to 10 s: sooner than this it was told.
TOLD = 2.0
# What a member that is cut off costs who asks it.
ONE_TIMEOUT = 3.0
# A member that died took the watch along, and the others must agree on a leader first.
RECOVERED = 15.0


def a_lock_is_taken_shown_explained_and_given_back(stage):
    """Nobody else is there."""
    a, b = stage.hosts[:2]
    lock = stage.lock("alone")
    number = a.acquire(lock, "--reason=moving disks").number
    equal(a.acquire(lock).number, number, "asking again")
    equal(b.holder(lock), (a.name, number), "the holder")
    said = b.acquire(lock, code=75).err
    equal(f"lock {lock} is held by {a.name} since" in said and "moving disks" in said, True, said)
    equal(lock in [row["lock"] for row in b.ask("list")], True, "the list")
    why = b.ask("why", lock)[0]["why"]
    equal(why.startswith(f"lock {lock} is held by {a.name}") and "free when released" in why, True, why)
    equal("is not held by this host" in b.release(lock).out, True, "another one's release")
    a.release(lock)
    equal(b.holder(lock), None, "the holder afterwards")
    equal(stage.events(lock), [("granted", a.name, number), ("released", a.name, number)], "history")
    equal(b.acquire(lock).number > number, True, "the next number grows")
    b.release(lock)


def a_lock_goes_from_hand_to_hand_in_order_and_is_not_polled_for(stage):
    """Two wait, one behind the other; each is told at once."""
    a, b, c = stage.hosts
    lock = stage.lock("queue")
    a.acquire(lock)
    calls = [stage.waits(host, lock) for host in (b, c)]
    equal(a.queue(lock), [b.name, c.name], "the queue")
    for holder, call in zip((a, b), calls):
        released = time.monotonic()
        holder.release(lock)
        expect(call.end(), 0, "the next one")
        took = time.monotonic() - released
        equal(took < TOLD, True, f"the hand-over took {took:.2f} s; less than {TOLD} s")
    equal([owner for event, owner, _ in stage.events(lock) if event == "granted"], [a.name, b.name, c.name], "in order")
    c.release(lock)


def a_waiter_that_was_killed_is_passed_over(stage):
    """W10, W34, W40: its place stands still for 15 s, and then it is gone."""
    a, b, c = stage.hosts
    lock = stage.lock("dead")
    a.acquire(lock)
    dead, call = stage.waits(b, lock), stage.waits(c, lock)
    dead.kill()
    b.left(lock)
    a.release(lock)
    expect_within(expect(call.end(), 0, "the next one"), 35, "the next one")
    c.release(lock)
    equal([owner for event, owner, _ in stage.events(lock) if event == "granted"], [a.name, c.name], "nothing for the dead")


def the_leader_is_killed_while_one_holds_and_one_waits(stage):
    """The grant stays, and the hand-over works with the two that are left."""
    a, b, _ = stage.hosts
    lock = stage.lock("leader")
    number = a.acquire(lock).number
    call = stage.waits(b, lock)
    stage.cluster.kill(stage.cluster.leader())
    stage.cluster.leader()
    equal(a.holder(lock), (a.name, number), "the holder")
    equal(call.runs, True, "the other one waits")
    released = time.monotonic()
    a.release(lock)
    expect(call.end(), 0, "the next one")
    took = time.monotonic() - released
    equal(took < RECOVERED, True, f"the hand-over took {took:.1f} s; less than {RECOVERED} s")
    equal(a.holder(lock)[0], b.name, "the next holder")
    stage.cluster.heal()
    b.release(lock)


def the_member_that_is_named_first_is_cut_off(stage):
    """No packet comes back from it: it costs one exchange's time, and the next one is asked."""
    a, b, c = stage.hosts
    cluster, lock = stage.cluster, stage.lock("first")
    # Not the leader: that is another case.
    gone = cluster.others(cluster.leader())[0]
    stage.configure(cluster.section(gone, *cluster.others(gone)), a, b)
    stage.configure(cluster.section(*cluster.others(gone)), c)
    cluster.cut(gone)
    number = expect_within(a.acquire(lock), 15, "an acquire by way of the second one").number
    call = stage.waits(b, lock)
    expect_within(a.release(lock), ONE_TIMEOUT, "the next call, which knows who answered")
    expect(call.end(), 0, "the next one")
    equal(c.holder(lock)[0], b.name, "the holder")
    alone = stage.questions((a, lock), section=cluster.section(gone, timeout="2s"))
    cluster.heal()
    b.release(lock)
    equal(set(alone.values()), {69}, f"the one that is cut off, asked alone: {alone}")
    equal(stage.events(lock)[0], ("granted", a.name, number), "history")


def a_member_without_the_others_says_69_and_not_free(stage):
    """It is reached, and knows of a grant that is none any more, and of none that was made since: it must not be believed."""
    a, b, _ = stage.hosts
    cluster, held, free = stage.cluster, stage.lock("stale"), stage.lock("stale-free")
    a.acquire(held)
    gone = cluster.leader()
    cluster.isolate(gone)
    stage.configure(cluster.section(*cluster.others(gone)))
    cluster.leader(*cluster.others(gone))
    b.acquire(free)
    a.release(held)
    answers = stage.questions((a, held), (a, free), section=cluster.section(gone, timeout="2s"))
    cluster.heal()
    equal(set(answers.values()), {69}, f"the member without the others: {answers}")
    equal((a.holder(held), a.holder(free)[0]), (None, b.name), "the holders afterwards")
    b.release(free)


def who_waits_at_a_member_that_is_cut_off_is_served_by_the_others(stage):
    """Its watch hears nothing any more."""
    a, b, c = stage.hosts
    cluster, lock = stage.cluster, stage.lock("deaf")
    gone = cluster.others(cluster.leader())[0]
    stage.configure(cluster.section(*cluster.others(gone)), a, c)
    stage.configure(cluster.section(gone, *cluster.others(gone)), b)
    a.acquire(lock)
    call = stage.waits(b, lock)
    cluster.isolate(gone)
    released = time.monotonic()
    a.release(lock)
    expect(call.end(), 0, "the next one")
    took = time.monotonic() - released
    equal(took < RECOVERED, True, f"the hand-over took {took:.1f} s; less than {RECOVERED} s")
    cluster.heal()
    b.release(lock)


def a_lost_quorum_is_69_and_changes_nothing(stage):
    """Two of three are down. Nobody gets anything, nobody is told anything; when they are back all is as it was."""
    a, b, c = stage.hosts
    cluster, held, free = stage.cluster, stage.lock("quorum"), stage.lock("quorum-free")
    number = a.acquire(held).number
    waiting = stage.waits(c, held)
    for member in cluster.others(cluster.leader()):
        cluster.kill(member)
    answers = stage.questions((a, held), (b, held), (b, free))
    equal(set(answers.values()), {69}, f"without a quorum: {answers}")
    equal(waiting.runs, True, "who waits goes on waiting")
    cluster.heal()
    equal((a.holder(held), a.holder(free)), ((a.name, number), None), "the holders afterwards")
    equal(stage.events(held), [("granted", a.name, number)], "history of what was held")
    equal(stage.events(free), [], "history of what was free")
    equal("is released" in a.release(held).out, True, "the release afterwards")
    expect_within(expect(waiting.end(), 0, "who waited"), 60, "who waited")
    c.release(held)
    for host in (a, b, c):
        host.release(free)


def all_members_are_killed_and_start_again(stage):
    """What was granted is on their disks."""
    a, b, _ = stage.hosts
    cluster, lock = stage.cluster, stage.lock("restart")
    number = a.acquire(lock).number
    for member in cluster.members:
        cluster.kill(member)
    equal(b.run("show", lock).code, 69, "all down")
    cluster.heal()
    equal(b.holder(lock), (a.name, number), "the holder")
    equal(b.acquire(lock, code=75).code, 75, "another one's acquire")
    equal("is released" in a.release(lock).out, True, "the release")
    equal(stage.events(lock), [("granted", a.name, number), ("released", a.name, number)], "history")


def a_call_is_killed_at_each_of_its_system_calls(stage):
    """Between the question and the grant, between the grant and its record, in the release: who asks again finds what is there."""
    a, b, _ = stage.hosts
    for verb in ("acquire", "release"):
        lock = stage.lock(f"killed-{verb}")
        prepare = a.acquire if verb == "release" else lambda lock: None
        prepare(lock)
        path = stage.folder / f"strace-{verb}"
        expect(stage.traced(a, verb, lock, kills.recorder(path)), 0, verb)
        a.release(lock)
        for name, number in kills.points(path, stage.sample, stage.seed):
            again = stage.lock(f"{lock}-{name}-{number}")
            stage.kills += kill_at(stage, verb, (a, b), again, prepare, (path, name, number))


def kill_at(stage, verb, hosts, lock, prepare, point):
    """One place; whether the kill fell."""
    a, b = hosts
    where = "before {1} {2}".format(*point)
    prepare(lock)
    said = stage.traced(a, verb, lock, kills.killer(*point))
    landed = kills.was_killed(point[0])
    if said.code == 0 and not landed:
        a.release(lock)
        return False
    held = b.holder(lock)
    if verb == "acquire" or held:
        again = a.acquire(lock).number
        equal(again, held[1] if held else again, f"{where}: the number that it is told when it asks again")
        equal(b.holder(lock), (a.name, again), f"{where}: the holder")
        equal("is released" in a.release(lock).out, True, f"{where}: the release")
    else:
        a.release(lock)
    equal(b.holder(lock), None, f"{where}: the holder afterwards")
    events = [event for event, _, _ in stage.events(lock)]
    equal(events, ["granted", "released"], f"{where}: history")
    equal(a.memory(), "", f"{where}: what the host remembers")
    return True


def hosts_take_turns_while_members_are_killed(stage):
    """Each host again and again, some killed while they wait or hold; the checker reads all that they saw."""
    lock, chance = stage.lock("load"), random.Random(f"{stage.seed}/load")
    failures, over = [], threading.Event()

    def take_turns(host, seed):
        mind = random.Random(seed)
        try:
            while not over.is_set():
                call = host.start_acquire(lock, "--wait=20s")
                if mind.random() < 0.15:
                    time.sleep(mind.random() * 0.4)
                    call.kill()
                    host.left(lock)
                elif call.end().code in (69, 75):
                    host.left(lock)
                host.start_release(lock).end()
        except LabError as error:
            failures.append(str(error))

    threads = [threading.Thread(target=take_turns, args=(host, chance.random())) for host in stage.hosts]
    for thread in threads:
        thread.start()
    try:
        for _ in range(stage.rounds):
            time.sleep(chance.uniform(0.5, 1.5))
            leader = stage.cluster.leader()
            victim = leader if chance.random() < 0.6 else chance.choice(stage.cluster.others(leader))
            chance.choice([stage.cluster.kill, stage.cluster.cut, stage.cluster.isolate])(victim)
            time.sleep(chance.uniform(0.5, 2.5))
            stage.cluster.heal()
    finally:
        over.set()
        for thread in threads:
            thread.join()
    equal(failures, [], "failures")
    for host in stage.hosts:
        wait_for(lambda host=host: host.start_release(lock).end().code == 0, 30, f"{host.name} to give all back")
    equal(stage.hosts[0].holder(lock), None, "the holder at the end")


PEACE = (
    a_lock_is_taken_shown_explained_and_given_back,
    a_lock_goes_from_hand_to_hand_in_order_and_is_not_polled_for,
    a_waiter_that_was_killed_is_passed_over,
    a_call_is_killed_at_each_of_its_system_calls,
)
FAILURES = (
    the_leader_is_killed_while_one_holds_and_one_waits,
    the_member_that_is_named_first_is_cut_off,
    a_member_without_the_others_says_69_and_not_free,
    who_waits_at_a_member_that_is_cut_off_is_served_by_the_others,
    a_lost_quorum_is_69_and_changes_nothing,
    all_members_are_killed_and_start_again,
    hosts_take_turns_while_members_are_killed,
)
