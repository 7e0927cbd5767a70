"""What `patch-lock` must be able to do with a directory that two hosts share, and what must not happen when that fails."""

import json
import time

from tests.hosts.wait import wait_for
from tests.lockd_clients.stage import equal

from . import kills
from .dir_stage import SCOPE, SECTION
from .hanging import OPERATIONS
from .host import expect, expect_within

# One exchange may take 2 s here.
ONE_EXCHANGE = 6
# What a tool has beyond its deadline to end.
TIMEOUT, GRACE = 2, 1
# As a script has one that holds a lock of its own.
WITH_A_DESCRIPTOR = ("sh", "-c", 'exec 9</etc/passwd && exec "$@"', "sh")
QUESTIONS = (["acquire", "web"], ["show", "web"], ["why", "web"], ["list"], ["release", "web"])


def two_hosts_take_turns(stage):
    """The file says who; the other one is told; who waits asks again."""
    a, b = stage.hosts
    number = a.acquire("web", "--reason=moving disks").number
    equal(a.acquire("web").number, number, "asking again")
    grant = json.loads((stage.shared / "web.lock").read_text())
    equal((grant["owner"], grant["host_id"], grant["number"]), (a.name, a.id, number), "the file")
    equal(b.holder("web"), (a.name, number), "the holder, as the other one sees it")
    said = b.acquire("web", code=75).err
    equal(f"lock web is held by {a.name} since" in said and "moving disks" in said, True, said)
    equal("is not held by this host" in b.release("web").out, True, "another one's release")
    call = b.start_acquire("web", "--wait=30s")
    wait_for(lambda: "asking" in b.memory(), 10, "the other one to wait")
    time.sleep(0.3)
    a.release("web")
    expect_within(expect(call.end(), 0, "who waited"), 5, "who waited")
    equal([row["lock"] for row in a.ask("list")], ["web"], "the list")
    b.release("web")
    equal(stage.names(), [], "what is left in the directory")


def of_ten_that_ask_at_once_one_host_holds_it(stage):
    """Five calls on each host; those of the host that holds it are told the same grant, or that another of theirs is asking."""
    for _ in range(5):
        calls = [(host, host.start_acquire("web")) for _ in range(5) for host in stage.hosts]
        said = [(host, call.end()) for host, call in calls]
        winners = {host.name for host, answer in said if answer.code == 0}
        equal(len(winners), 1, f"the hosts that hold it: {winners}")
        winner = next(host for host in stage.hosts if host.name in winners)
        equal({answer.code for host, answer in said if host is not winner}, {75}, "the codes of the other host")
        equal({answer.code for host, answer in said if host is winner} - {0, 75}, set(), "the codes of the host that holds it")
        numbers = {answer.number for host, answer in said if host is winner and answer.code == 0}
        equal(numbers, {stage.hosts[0].holder("web")[1]}, "the grants that it was told")
        winner.release("web")
    equal(stage.names(), [], "what is left in the directory")


def ten_commands_run_one_after_the_other(stage):
    """`hold` on two hosts."""
    witness = stage.folder / "witness"
    command = 'echo "enter $0" >>"$1"; sleep 0.05; echo "leave $0" >>"$1"'
    calls = [host.start("hold", "--wait=50s", "web", "--", "sh", "-c", command, f"{host.name}-{n}", witness)
             for n in range(5) for host in stage.hosts]
    for call in calls:
        expect(call.end(), 0, "hold")
    equal(len(set(stage.inside(witness))), 10, "commands that were run")
    equal(stage.names(), [], "what is left in the directory")


def a_call_is_killed_at_each_of_its_system_calls(stage):
    """Half a file is no lock, a draft is none, and what was granted is found again: whether the tool is hit or its child."""
    for verb in ("acquire", "release"):
        kill_at_each(stage, verb)


def a_child_is_killed_at_each_of_its_system_calls(stage):
    """The tool lives, and says 69."""
    for verb in ("acquire", "release"):
        kill_at_each(stage, verb, stage.place(stage.hosts[0]))


def kill_at_each(stage, verb, place=None):
    """All places, or those in a directory."""
    a = stage.hosts[0]
    start = a.start_acquire if verb == "acquire" else a.start_release
    path = stage.folder / f"strace-{verb}"
    if verb == "release":
        a.acquire("web")
    expect(start("web", around=kills.recorder(path, place)).end(), 0, verb)
    a.release("web")
    points = kills.points(path, stage.sample, stage.seed)
    equal(bool(points), True, "places to be killed at")
    for name, number in points:
        if verb == "release":
            a.acquire("web")
        said = start("web", around=kills.killer(path, name, number, place)).end()
        if said.code == 0 and not kills.was_killed(path):
            a.release("web")
            continue
        stage.kills += 1
        where = f"{verb} before {name} {number}"
        if place:
            equal(said.code, 69, f"{where}: {said}")
        check_what_is_left(stage, where)


def check_what_is_left(stage, where):
    """Both hosts agree on who holds it, whoever asks again is told, and nothing of it stays."""
    a, b = stage.hosts
    locks = [name for name in stage.names() if not name.startswith(".")]
    equal([row["lock"] for row in b.ask("list")], [name.removesuffix(".lock") for name in locks], f"{where}: the list")
    if locks:
        held = b.holder("web")
        equal(held[0], a.name, f"{where}: the holder")
        equal(b.acquire("web", code=75).code, 75, f"{where}: the other host")
        equal(a.acquire("web").number, held[1], f"{where}: the number that it is told when it asks again")
    else:
        b.acquire("web")
        equal(a.acquire("web", code=75).code, 75, f"{where}: the host that was killed")
        b.release("web")
    a.release("web")
    equal(a.holder("web"), None, f"{where}: the holder afterwards")
    equal(a.memory(), "", f"{where}: what the host remembers")
    a.acquire("web")
    equal(stage.names(), ["web.lock"], f"{where}: what lies there when it has the lock again")
    a.release("web")


def leftovers_are_no_locks(stage):
    """What a kill leaves behind: drafts, and what was moved aside; of a file that is no lock it is said which."""
    a, b = stage.hosts
    a.acquire("web")
    (stage.shared / "web.lock").rename(stage.shared / f".released-{a.id}-1-99-7")
    (stage.shared / f".draft-{a.id}-2-99-7").write_text('{"lock":"web"')
    left = stage.names()
    equal(b.ask("list"), [], "the list")
    equal(b.holder("web"), None, "the holder")
    b.acquire("web")
    equal(stage.names(), [*left, "web.lock"], "what another host left stays")
    equal("not this host's any more" in a.release("web").err, True, "the release of what was taken away")
    equal(a.holder("web"), (b.name, 1), "the holder afterwards")
    b.release("web")
    a.acquire("web")
    equal(stage.names(), ["web.lock"], "what a host left itself is gone when it has the lock again")
    a.release("web")
    (stage.shared / "web.lock").write_text('{"lock":"web"')
    for host in stage.hosts:
        said = host.run("acquire", "web")
        equal((said.code, "/srv/locks/web.lock: it is no lock of ours" in said.err), (1, True), said.err)


def a_directory_that_does_not_answer_is_69_in_time(stage):
    """The server is gone, the mount hangs; the other host goes on."""
    a, b = stage.hosts
    a.acquire("web")
    with stage.hanging(a):
        calls = [(words, a.start(*words)) for words in QUESTIONS]
        for words, call in calls:
            said = expect_within(call.end(), ONE_EXCHANGE, " ".join(words))
            # Of those that would change something one asks, and the others of this host leave it alone.
            in_time = said.code == 69 and "did not answer in 2 s" in said.err
            beside = said.code == 75 and "of this host works with lock web" in said.err
            equal(in_time or beside, True, f"{words}: {said}")
        equal(b.acquire("web", code=75).code, 75, "the other host")
    equal(b.holder("web")[0], a.name, "the holder afterwards")
    a.release("web")
    equal(a.holder("web"), None, "the holder at the end")


def a_server_that_goes_while_a_file_is_written_is_69_in_time(stage):
    """The child that writes is not even ended by SIGKILL; the tool ends, and a later one finds what is there."""
    a, b = stage.hosts
    for operation in OPERATIONS:
        with stage.hanging(a, operation):
            said = expect_within(a.start_acquire("web").end(), TIMEOUT + GRACE, operation)
            equal((said.code, f"did not answer in {TIMEOUT} s" in said.err), (69, True), f"{operation}: {said}")
    b.acquire("web")
    equal(a.acquire("web", code=75).code, 75, "the host that asked in vain")
    b.release("web")
    a.acquire("web")
    a.release("web")
    equal((a.memory(), stage.names()), ("", []), "what is left")


def who_waits_leaves_one_child_behind_and_no_more(stage):
    """While that hangs the others ask nothing, and it keeps nothing open for anybody; when the server is back, the lock is taken."""
    a, _ = stage.hosts
    with stage.hanging(a, "write"):
        call = a.start_acquire("web", "--wait=50s", around=WITH_A_DESCRIPTOR)
        wait_for(lambda: "asking" in a.memory(), 10, "it to ask")
        time.sleep(TIMEOUT + 4)
        children = stage.children(call)
        equal((call.runs, len(children)), (True, 1), "it waits, and the children that it left behind")
        strange = [name for name in children[0] if not name.startswith(("socket:", "/dev/null", str(stage.place(a))))]
        equal((strange, len(children[0])), ([], 5), f"what the child has open: {children[0]}")
    equal(expect(call.end(), 0, "who waited").out.count("is held"), 1, "what it says")
    a.release("web")


def a_full_disk_grants_nothing_and_frees_all_the_same(stage):
    """69, and no half a lock."""
    a, b = stage.hosts
    with stage.over(stage.hosts, "-t", "tmpfs", "-o", "size=64k,mode=755", "full") as disk:
        a.acquire("held")
        with (disk / "ballast").open("wb", buffering=0) as ballast:
            while True:
                try:
                    ballast.write(bytes(4096))
                except OSError:
                    break
        said = b.run("acquire", "web")
        equal((said.code, "No space left" in said.err), (69, True), said.err)
        equal(sorted(path.name for path in disk.iterdir()), ["ballast", "held.lock"], "what lies there")
        equal("is released" in a.release("held").out, True, "the release")
        (disk / "ballast").unlink()
        b.acquire("web")
        b.release("web")


def a_directory_that_is_read_only_is_69(stage):
    """As a server makes it that has found a fault."""
    a, b = stage.hosts
    a.acquire("web")
    stage.lab.run("mount", "-o", "remount,bind,ro", stage.place(a))
    try:
        for words in (["acquire", "db"], ["release", "web"]):
            said = a.run(*words)
            equal((said.code, "Read-only" in said.err), (69, True), f"{words}: {said}")
        equal(a.acquire("web").number, 1, "what it holds")
    finally:
        stage.lab.run("mount", "-o", "remount,bind,rw", stage.place(a))
    equal(b.holder("web")[0], a.name, "the holder")
    equal(stage.names(), ["web.lock"], "what lies there")
    a.release("web")


def a_directory_that_is_not_mounted_gives_nothing(stage):
    """The mount point alone is this host's; none at all is a server that cannot be reached."""
    a, _ = stage.hosts
    a.configure(SECTION)
    a.write("srv/locks-unmounted/.keep", "")
    a.configure(SECTION.replace("/srv/locks", "/srv/locks-unmounted"))
    for words in QUESTIONS:
        said = a.run(*words)
        equal((said.code, "not lie on a network file system" in said.err), (2, True), f"{words}: {said}")
    a.configure(SECTION.replace("/srv/locks", "/srv/nothing"))
    for words in QUESTIONS:
        equal(a.run(*words).code, 69, " ".join(words))


def a_local_directory_without_scope_is_refused(stage):
    """No other host sees it, whatever the mount table says; the way out is named."""
    for host in stage.hosts:
        host.configure(SECTION)
        for words in QUESTIONS:
            said = host.run(*words)
            equal((said.code, SCOPE.strip() in said.err), (2, True), f"{words}: {said}")
    equal(stage.names(), [], "what lies there")


CASES = (
    two_hosts_take_turns,
    of_ten_that_ask_at_once_one_host_holds_it,
    ten_commands_run_one_after_the_other,
    a_call_is_killed_at_each_of_its_system_calls,
    a_child_is_killed_at_each_of_its_system_calls,
    leftovers_are_no_locks,
    a_directory_that_does_not_answer_is_69_in_time,
    a_server_that_goes_while_a_file_is_written_is_69_in_time,
    who_waits_leaves_one_child_behind_and_no_more,
    a_full_disk_grants_nothing_and_frees_all_the_same,
    a_directory_that_is_read_only_is_69,
    a_directory_that_is_not_mounted_gives_nothing,
    a_local_directory_without_scope_is_refused,
)
