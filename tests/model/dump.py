#!/usr/bin/env python3
"""Prints, for every state that the model reaches, what each of its step functions answers: one line a distinct view,
`view<TAB>function=steps<TAB>...`. The state table in src/flag/table.rs is held against this."""
from collections import deque

import run_model as model

FUNCTIONS = ("steps_grab", "steps_lock", "steps_order", "steps_expire", "steps_late", "steps_finish", "steps_unreleased", "steps_boot")
START = model.S(0, None, False, False, "N", 0, 1, None, False, (), (), frozenset(), frozenset(), (), None, 1, 0)


def reachable(orders, faults):
    """Every state that the model's moves lead to."""
    seen, queue = {START}, deque([START])
    while queue:
        state = queue.popleft()
        yield state
        for _, after in model.moves(state, orders, faults):
            if after not in seen:
                seen.add(after)
                queue.append(after)


def view(state):
    """What a tool can see of a state; orders and runs are ghosts."""
    facts = (bool(state.flag), state.log, state.done, state.trig, state.level == "M", bool(state.boots), state.verdict, state.held)
    return ",".join("-" if fact is None else str(fact).lower() for fact in facts)


def main():
    lines = set()
    for state in reachable(orders=2, faults=2):
        answers = ((name, getattr(model, name)(state)) for name in FUNCTIONS)
        lines.add("\t".join([view(state)] + [f"{name}={';'.join(steps or [])}" for name, steps in answers]))
    print("\n".join(sorted(lines)))


if __name__ == "__main__":
    main()
