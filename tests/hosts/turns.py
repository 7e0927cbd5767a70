"""Who held which lock when, by the history of the lock service."""

from datetime import datetime


def overlap(events, slots):
    """How many grants were given while as many as may be were held already; 0 is the promise. Counted by the order of the
    events, which no clock can blur."""
    holders, count = {}, 0
    for event in events:
        held = holders.setdefault(event["lock"], set())
        if event["event"] == "granted":
            count += len(held) >= slots.get(event["lock"], 1)
            held.add(event["number"])
        elif event["event"] in ("released", "forced"):
            held.discard(event["number"])
    return count


def holds(events):
    """How long each grant that has ended was held, in seconds."""
    began, spans = {}, []
    for event in events:
        key = (event["lock"], event["number"])
        if event["event"] == "granted":
            began[key] = seconds(event["at"])
        elif event["event"] in ("released", "forced") and key in began:
            spans.append(seconds(event["at"]) - began.pop(key))
    return spans


def seconds(text):
    """RFC 3339 as seconds."""
    return datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()
