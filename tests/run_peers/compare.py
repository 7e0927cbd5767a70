"""Both sides of a scenario, facet by facet."""

import re

FACETS = ("codes", "ran", "states", "state", "lock", "history", "said")
# What follows from the scripts that ran: where these differ on purpose, it differs with them.
FOLLOWS = ("states", "said")


def judge(case, kind, theirs, ours=None):
    """The violations of a scenario, a line each. Without our side: of what the table says of the original."""
    faults = [f"theirs: {fault}" for fault in theirs.faults]
    if case.says and not re.search(case.says, theirs.words):
        faults.append(f"theirs does not say {case.says!r}")
    if ours:
        faults += [f"ours: {fault}" for fault in ours.faults]
    for facet in (*FACETS, "asked"):
        faults += facet_faults(case, kind, facet, getattr(theirs, facet), getattr(ours, facet) if ours else None)
    return faults


def facet_faults(case, kind, facet, theirs, ours):
    """What is wrong about one facet."""
    differs = case.difference(facet, kind)
    if differs:
        faults = [f"{facet}: the original does not show {differs.why}: {theirs!r}, the table has {differs.theirs!r}"] \
            if theirs != differs.theirs else []
        if ours is not None and ours != differs.ours:
            faults.append(f"{facet}: ours is {ours!r}, the table has {differs.ours!r} ({differs.why}; theirs {theirs!r})")
        return faults
    excused = facet == "asked" or facet in FOLLOWS and case.difference("ran", kind)
    if ours is None or excused or ours == theirs:
        return []
    return [f"{facet}: ours is {ours!r}, theirs {theirs!r}"]
