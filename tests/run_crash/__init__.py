"""patch-run killed at every call that changes something, in every phase; and the bad nights around it.

    python3 -m tests.run_crash                 everything
    python3 -m tests.run_crash --sample N      N kills, chosen by the seed, and as many faults as take a few seconds
    python3 -m tests.run_crash --part faults   one part: kills, faults

A host is a scratch directory with processes, mounts, a name and a boot identity of its own (host.py); to boot it is to end them all. Its
lock is one of a real patch-lockd, behind a relay that writes down when what was asked and answered (relay.py). A scene (scenes.py) is a
run, or a part of one: it is recorded once, and then killed before each call. `--after_reboot` or ticks follow until the run is over, and
judge.py says what must hold then. What a kill cannot show, for it leaves the page cache alone, is the order of flushes: that is checked in
the recordings, and each flush taken out of them must be missed.
"""
