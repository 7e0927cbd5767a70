#!/usr/bin/env python3
"""The checker of locks: what clients saw, against what the service says has happened.

A recording is a file of JSON lines, one object each; all times are seconds of one monotonic clock, the clients':

    {"slots": {"LOCK": N}}                   locks that are not named have one
    {"op": "acquire", "owner", "host", "locks", "wait", "sent", "answered" | "closed", "status", "answer"}
    {"op": "release", "owner", "lock", "number", …}
    {"op": "poll" | "unpoll", "owner", "lock", …}   a protocol without waiting and numbers
    {"op": "withdraw", "owner", "locks", …}  it says that it waits no longer
    {"left": OWNER, "locks", "at"}           it wants to wait no longer, or is gone
    {"killed": T}                            nothing that was sent before was decided later
    {"stopped": [FROM, TO]}                  the service stood still; what was sent may have been decided after it
    {"slow": [FROM, TO]}                     it did not hear at once
    {"seen": [EVENT…]}                       a part of the history, read at some time
    {"history": [EVENT…]}                    all of it, read at the end, the oldest first
    {"held": {"LOCK": [NUMBER…]}}            who held what at the end

An answer that never came has `closed`, when the client gave up its connection or lost it. What must hold:

- numbers   ids and numbers of grants only grow, none twice;
- slots     never more holders than slots, no owner twice, only what is held ends; and what clients knew that they held
            at the same time, whatever the history says;
- told      each grant and each release that was answered is in the history, once and as it was told; several locks all or
            none; no answer tells of a grant whose end was told before;
- caused    each grant and release has a request that was open: sent, not answered otherwise, its client not gone, the
            service not killed since. Nothing is given to the dead, and 503 has changed nothing;
- order     the history has the order of what happened: nobody was told of an event before an older one was asked for;
- fair      who waits for one lock and stays connected is not overtaken by anybody who asked later, but (slots above one) while
            its own offer is on its way; after a kill, and while the service does not hear at once, the order begins anew. Everybody who
            stays is served in the end;
- kept      what was read of the history once is in it at the end; at the end that is held which the history says.

Usage: lock_history.py RECORDING; prints each violation and a count, and exits 1 if there is one.
"""

import bisect
import json
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass, field

# How long a request may take to be decided, or the service to see that a client is gone, while it runs: a generous measure.
SLACK = 1.0
# After so long its waiter is in the queue. Asked within it of each other, two may stand in either order.
ENTERED = 0.3
# Who asks again within this stays connected.
GAP = 0.5
NEVER = float("inf")
ENDS = {"released", "forced"}


@dataclass
class Recording:
    """What is known."""

    slots: dict = field(default_factory=dict)
    ops: list = field(default_factory=list)
    left: list = field(default_factory=list)
    kills: list = field(default_factory=list)
    stops: list = field(default_factory=list)
    slow: list = field(default_factory=list)
    seen: list = field(default_factory=list)
    history: list = field(default_factory=list)
    held: dict = None

    def add(self, record):
        """One line of a recording."""
        if "op" in record:
            self.ops.append(record)
        elif "left" in record:
            self.left.append(record)
        elif "killed" in record:
            self.kills.append(record["killed"])
        elif "stopped" in record:
            self.stops.append(tuple(record["stopped"]))
        elif "slow" in record:
            self.slow.append(tuple(record["slow"]))
        elif "seen" in record:
            self.seen += record["seen"]
        else:
            for key in ("slots", "history", "held"):
                if key in record:
                    setattr(self, key, record[key])

    def slots_of(self, lock):
        """How many may hold it."""
        return self.slots.get(lock, 1)

    def end_of(self, op):
        """Until when a request that was not answered may have been decided."""
        end = op["closed"] + SLACK
        for start, stop in self.stops:
            if start <= end and op["sent"] <= stop:
                end = max(end, stop + SLACK)
        return min(end, next_after(self.kills, op["sent"]))


@dataclass
class Grant:
    """One grant, from the history; `told` is the earliest answer that tells of it."""

    lock: str
    number: int
    owner: str
    host: str
    began: int
    ended: int = None
    how: str = ""
    told: float = NEVER
    end_told: float = NEVER
    given_up: float = NEVER


def next_after(times, time):
    """The first of times, which are in order, after one of them."""
    place = bisect.bisect_right(times, time)
    return times[place] if place < len(times) else NEVER


def read(path):
    """A recording from a file."""
    recording = Recording()
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            recording.add(json.loads(line))
    return recording


def check(recording):
    """All violations, as sentences, and what was compared."""
    return Check(recording).run()


def is_granted(op):
    """An answer that grants."""
    return op.get("status") == 200 and op["op"] == "acquire" and op["answer"].get("state") == "granted"


def is_ended(op):
    """An answer that a grant is given back."""
    if op["op"] == "unpoll":
        return op.get("status") == 200
    return op.get("status") == 200 and op["op"] == "release" and op["answer"].get("found") is True


def is_withdrawn(op):
    """An answer that it waits no longer; from one that never came nobody knows."""
    return op.get("status") == 200 and op["answer"].get("withdrawn") is True


def is_lost(op):
    """It was never answered."""
    return op.get("answered") is None


class Check:
    """One recording under check."""

    def __init__(self, recording):
        self.recording = recording
        self.found = []
        self.grants = {}
        self.by_owner = defaultdict(list)
        self.compared = defaultdict(int)
        recording.kills.sort()
        for op in recording.ops:
            self.by_owner[op["owner"]].append(op)
        for ops in self.by_owner.values():
            ops.sort(key=lambda op: op["sent"])
        self.tellers = defaultdict(list)  # answers, by the event that they tell of
        self.unanswered = defaultdict(list)
        self.polls = defaultdict(list)
        for op in recording.ops:
            for told in op["answer"]["grants"] if is_granted(op) else ():
                self.tellers["granted", told["number"], op["owner"]].append(op)
            if op["op"] == "release" and is_ended(op):
                self.tellers["released", op["number"], op["owner"]].append(op)
            if op["op"] in ("poll", "unpoll") and op.get("status") in (200, 201):
                self.polls[op["owner"], op["op"]].append(op)
            if is_lost(op):
                self.unanswered[op["owner"], op["op"], op.get("number")].append((op, recording.end_of(op)))

    def run(self):
        """Everything."""
        self.numbers()
        self.replay()
        if not self.found:  # what follows would only repeat it
            self.told()
            self.caused_and_order()
            self.observed()
            self.fair()
            self.kept()
        return self.found, self.compared

    def fault(self, rule, words):
        """A violation."""
        self.found.append(f"{rule}: {words}")

    def numbers(self):
        """Ids and numbers."""
        last_id = last = 0
        for event in self.recording.history:
            if event["id"] <= last_id:
                self.fault("numbers", f"event {event['id']} comes after {last_id}")
            last_id = event["id"]
            if event["event"] == "granted":
                if event["number"] <= last:
                    self.fault("numbers", f"grant {event['number']} comes after {last}")
                last = event["number"]

    def replay(self):
        """The history, event by event."""
        holders = defaultdict(dict)
        for index, event in enumerate(self.recording.history):
            lock, number, owner, kind = event["lock"], event["number"], event["owner"], event["event"]
            held = holders[lock]
            if kind == "granted":
                if owner in (grant.owner for grant in held.values()):
                    self.fault("slots", f"{owner} is granted {lock} a second time by {number}")
                held[number] = self.grants[number] = Grant(lock, number, owner, event.get("host_id"), index)
                if len(held) > self.recording.slots_of(lock):
                    self.fault("slots", f"grant {number}: {lock} is held {len(held)} times")
                continue
            grant = held.get(number)
            if grant is None or grant.owner != owner:
                self.fault("slots", f"event {event['id']}: {kind} of {lock} {number} by {owner}, who does not hold it")
            elif kind in ENDS:
                grant.ended, grant.how = index, kind
                del held[number]
        self.compared["events"] = len(self.recording.history)
        self.holders = {lock: sorted(held) for lock, held in holders.items() if held}

    def told(self):
        """What was answered is in the history."""
        self.told_polls()
        for op in self.recording.ops:
            if is_granted(op):
                self.told_grants(op)
            elif op["op"] == "release" and op.get("status") == 200:
                self.told_release(op)
            if op["op"] == "release" and op["number"] in self.grants:
                grant = self.grants[op["number"]]
                grant.given_up = min(grant.given_up, op["sent"])
        for op in self.recording.ops:
            for told in op["answer"]["grants"] if is_granted(op) else ():
                grant = self.grants.get(told["number"])
                if grant and grant.end_told < op["sent"]:
                    self.fault("told", f"{grant.number} of {grant.lock} was over before {op['owner']} asked, and was told to it")

    def told_polls(self):
        """Answers without numbers: as many as there are events, at most."""
        for kind, ask, done in (("granted", "poll", 201), ("released", "unpoll", 200)):
            answered = [op for op in self.recording.ops if op["op"] == ask and op.get("status") == done]
            answers = Counter((op["owner"], op["lock"]) for op in answered)
            events = Counter((event["owner"], event["lock"]) for event in self.recording.history if event["event"] == kind)
            self.compared[f"{kind} to pollers"] = answers.total()
            for (owner, lock), count in answers.items():
                if count > events[owner, lock]:
                    self.fault("told", f"{owner} was told {count} times that {lock} is {kind}; it was {events[owner, lock]} times")

    def told_grants(self, op):
        """One answer that grants."""
        self.compared["granted"] += 1
        if sorted(told["lock"] for told in op["answer"]["grants"]) != sorted(op["locks"]):
            self.fault("told", f"{op['owner']} asked for {op['locks']} and was granted {op['answer']['grants']}")
        for told in op["answer"]["grants"]:
            grant = self.grants.get(told["number"])
            if grant is None or (grant.lock, grant.owner, grant.host) != (told["lock"], op["owner"], op["host"]):
                self.fault("told", f"grant {told['number']} of {told['lock']} was told to {op['owner']}; the history says {grant}")
            else:
                grant.told = min(grant.told, op["answered"])

    def told_release(self, op):
        """One answer to a release: done, or not there any more."""
        self.compared["released"] += 1
        grant = self.grants.get(op["number"])
        if is_ended(op):
            if grant is None or grant.how != "released":
                self.fault("told", f"the release of {op['number']} was answered; the history says {grant}")
        elif grant is not None and grant.ended is None:
            self.fault("told", f"{op['number']} is held, and its release was answered: not there")
        if grant:
            grant.end_told = min(grant.end_told, op["answered"])

    def caused_and_order(self):
        """Each event has a request; and the order of requests and answers is that of the events."""
        latest = [NEVER] * (len(self.recording.history) + 1)
        for index, event in reversed(list(enumerate(self.recording.history))):
            latest[index] = min(latest[index + 1], self.told_at(event))
        asked = 0.0
        for index, event in enumerate(self.recording.history):
            if event["event"] not in ("granted", "released"):
                continue
            causes = self.causes(event)
            open_then = [op for op, end in causes if end >= asked]
            if not causes:
                self.fault("caused", f"event {event['id']}: nobody asked for {describe(event)}")
            elif not open_then:
                self.fault("caused", f"event {event['id']}: {describe(event)}, after {asked:.3f}, when its client was gone or had "
                                     f"another answer")
            else:
                if min(op["sent"] for op in open_then) > latest[index]:
                    self.fault("order", f"event {event['id']}: {describe(event)} was asked for after a later event was told")
                asked = max(asked, min(op["sent"] for op in open_then))

    def told_at(self, event):
        """When somebody was told of it first."""
        tellers = self.tellers[event["event"], event["number"], event["owner"]]
        return min((op["answered"] for op in tellers), default=NEVER)

    def causes(self, event):
        """The requests that may have led to an event, and until when each may have."""
        number, lock, kind, owner = event["number"], event["lock"], event["event"], event["owner"]
        told = [(op, op["answered"]) for op in self.tellers[kind, number, owner]]
        if kind == "granted" and not event.get("protocol"):
            host = event.get("host_id")
            return [cause for cause in told + self.unanswered[owner, "acquire", None] if cause[0]["host"] == host
                    and lock in cause[0]["locks"]]
        ask = "poll" if kind == "granted" else "unpoll"
        polls = [(op, op["answered"]) for op in self.polls[owner, ask]] + self.unanswered[owner, ask, None]
        return told + [cause for cause in polls if cause[0]["lock"] == lock] + (
            self.unanswered[owner, "release", number] if kind == "released" else [])

    def observed(self):
        """From the answer to the sending of the release a client knows that it holds the lock."""
        moves = defaultdict(list)
        for grant in self.grants.values():
            until = grant.given_up if grant.how != "forced" else grant.told
            if grant.told < until:
                moves[grant.lock] += [(grant.told, 1, grant.number), (until, -1, grant.number)]
        for lock, at in moves.items():
            count = 0
            for _, change, number in sorted(at, key=lambda move: move[:2]):
                count += change
                self.compared["held"] += change > 0
                if count > self.recording.slots_of(lock):
                    self.fault("slots", f"{count} clients knew at the same time that they held {lock}, one by {number}")

    def fair(self):
        """Waiting is in order of arrival, and has an end."""
        left = defaultdict(list)
        for record in self.recording.left:
            left[record["left"], tuple(sorted(record["locks"]))].append(record["at"])
        found = [wait for owner, ops in self.by_owner.items() for wait in waits(ops, self.recording.kills)]
        for wait in found:
            if wait.status not in (200, 503, None):
                self.fault("fair", f"{wait.owner} was answered {wait.status} when it asked for {wait.locks}")
            elif wait.number is None and not any(at >= wait.first for at in left[wait.owner, wait.locks]):
                self.fault("fair", f"{wait.owner} stayed for {wait.locks} from {wait.first:.3f} and was never served")
        self.overtaking([wait for wait in found if wait.number in self.grants])

    def overtaking(self, served):
        """Who was served before somebody that had asked earlier and had stayed."""
        first = {}  # who holds it and asks again is told the same grant
        for wait in sorted(served, key=lambda wait: wait.granted):
            for number in wait.numbers.values():
                first.setdefault(number, wait)
        by_lock = defaultdict(list)
        for number, wait in first.items():
            if number in self.grants:
                by_lock[self.grants[number].lock].append((self.grants[number], wait))
        for lock, row in by_lock.items():
            row.sort(key=lambda pair: pair[0].began)
            for place, (grant, waited) in enumerate(row):
                if len(waited.locks) > 1 or waited.since is None:
                    continue
                for other, later in reversed(row[:place]):
                    if other.told < waited.since:
                        break
                    self.compared["pairs"] += 1
                    is_early = self.recording.slots_of(lock) == 1 or later.granted < waited.offered - SLACK
                    if later.first > waited.since + ENTERED and is_early and self.is_running(waited.since, later.first):
                        self.fault("fair", f"{other.owner} asked for {lock} at {later.first:.3f} and was granted {other.number} "
                                           f"before {grant.owner}, who had waited since {waited.since:.3f}{self.around(waited.since)}")

    def around(self, at):
        """What happened to the service near a moment, in words."""
        near = [f"killed at {kill:.3f}" for kill in self.recording.kills if abs(kill - at) < 2]
        for word, spans in (("stopped", self.recording.stops), ("slow", self.recording.slow)):
            near += [f"{word} {start:.3f} to {stop:.3f}" for start, stop in spans if start < at + 2 and stop > at - 2]
        return "".join(f"; {words}" for words in near)

    def is_running(self, first, then):
        """The service did not stand still while the first was to enter the queue, and heard it before it heard who came then."""
        late = any(start <= first + ENTERED and first <= stop and then <= stop + ENTERED for start, stop in self.recording.slow)
        return not late and not any(start <= then and first <= stop for start, stop in self.recording.stops)

    def kept(self):
        """The history only grows, and says what is held."""
        final = {event["id"]: event for event in self.recording.history}
        for event in self.recording.seen:
            self.compared["seen"] += 1
            if final.get(event["id"]) != event:
                self.fault("kept", f"event {event['id']} was {event} and is {final.get(event['id'])}")
        if self.recording.held is not None:
            held = {lock: sorted(numbers) for lock, numbers in self.recording.held.items() if numbers}
            if held != self.holders:
                self.fault("kept", f"held at the end: {held}; by the history: {self.holders}")


@dataclass
class Wait:
    """One client's wait for the same locks, over all its requests. `since`: from when on it was connected without a break, and the
    service not killed."""

    owner: str
    locks: tuple
    first: float
    since: float = None
    until: float = 0.0
    offered: float = NEVER
    granted: float = NEVER
    numbers: dict = field(default_factory=dict)
    status: int = 200

    @property
    def number(self):
        """The number of a grant; none if it was not served."""
        return min(self.numbers.values(), default=None)

    def take(self, op, kills):
        """One request of it. True if the wait is over."""
        end = op["answered"] if not is_lost(op) else op["closed"]
        broken = next_after(kills, self.until) <= end
        if self.since is None or broken or op["sent"] > self.until + GAP:
            self.since = op["sent"]
        self.until = end
        self.status = op.get("status")
        state = op["answer"].get("state") if op.get("status") == 200 else None
        if state == "granted":
            self.numbers = {told["lock"]: told["number"] for told in op["answer"]["grants"]}
            self.granted, self.offered = end, min(self.offered, end)
        elif state == "offered":
            self.offered = end
        elif state != "waiting":
            self.since, self.offered = None, NEVER
        return state == "granted"


def waits(ops, kills):
    """The waits in one client's requests, which are in order."""
    running, done = {}, []
    for op in ops:
        if op["op"] == "withdraw" and (wait := running.get(tuple(sorted(op["locks"])))):
            wait.since = None
            if is_withdrawn(op):  # else it may have been granted in its turn a moment before
                done.append(running.pop(wait.locks))
        if op["op"] != "acquire" or not (op["wait"] or is_granted(op)):
            continue
        key = tuple(sorted(op["locks"]))
        wait = running.setdefault(key, Wait(op["owner"], key, op["sent"]))
        if wait.take(op, kills):
            done.append(running.pop(key))
    return done + list(running.values())


def describe(event):
    """An event in words."""
    return f"{event['lock']} {event['number']} {event['event']} to {event['owner']}"


def main():
    """Check a file."""
    if len(sys.argv) != 2:
        sys.exit(__doc__.rsplit("\n\n", 1)[-1].strip())
    recording = read(sys.argv[1])
    found, compared = check(recording)
    for words in found[:50]:
        print(words)
    counts = " ".join(f"{name}={count}" for name, count in sorted(compared.items()))
    print(f"lock-history: operations={len(recording.ops)} {counts} violations={len(found)}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
