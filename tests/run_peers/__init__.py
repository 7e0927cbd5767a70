"""The real Python updaters and patch-run under their names: the same configuration and scripts, against the same service.

    python3 -m tests.run_peers                 every scenario, and the reading of configurations; one line at the end
    python3 -m tests.run_peers --only WORD     those whose names hold the word (several times: any of them)
    python3 -m tests.run_peers --sample N      about so many, some of each file of the table, chosen by the commit
    python3 -m tests.run_peers --list          their names
    python3 -m tests.run_peers --differences   what differs on purpose, and why
    python3 -m tests.run_peers --facts         print what the originals do as well
    python3 -m tests.run_peers --fresh         run the originals although it is known from an earlier run what they do (facts.py)

A scenario (scenario.py) is a line of the table (table/): scripts, settings, and steps. It is done twice for each client it is for: by the
client as it comes from the package registry (1.0.5, 0.4.3, Foreman's 0.0.2; `make lock-peers`) and by patch-run called by the client's
name, each in a scratch directory of its own, each with a lock of its own at a real patch-lockd. What came of both (side.py) is compared facet by
facet: exit codes, which scripts ran in which order with which arguments, what the state file said to each, the state and the lock
in the end, the lock's history, the scripts' output in the log. Nothing of what is expected is written down, with one exception: where
ours differs on purpose, the table has what both show and the number of the weakness that it closes. Then both must show exactly that: an
original that no longer has its weakness is a violation as well.

For all scenarios alike: a script's environment is that of 1.0.5 under patch-run, whichever name it has; under 0.4.3 it has to lack PATH and
HOME, under Foreman's client to be the client's own (W32). Our log lines have the originals' format.

Ours is called with the original's command line. A host's /etc, /run, /var/lib, /var/log, /var/spool are its own, and so is the boot identity,
which the step `rebooted` changes; the right to reboot is taken from it, and programs that reboot are out of its reach (peers.py). Two
shims make the originals testable, and ours has neither: 0.4.3 and Foreman's client sleep a fortieth where a step says `hurry`, and
Foreman's client reads directories in the order of names, except in the scenario that shows that it does not (W32).

Where patch-run is not installed yet, only the originals run, and the table's word about them is checked.
"""
