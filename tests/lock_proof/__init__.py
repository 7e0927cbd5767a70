"""`python3 -m tests.lock_proof`: the lock service under load and faults, and proof by a history checker that nothing was broken.

Three parts, each on the real `patch-lockd` over loopback:

- load: many clients that wait, hold, give back, and vanish at every moment, while the service is killed, stopped, started again,
  and its disk is full (`load`, `faults`);
- points: a short script of requests, with the service killed at each system call by which its store changes (`points`);
- order: a recording of its system calls, in which no answer leaves before the flush that it tells of (`order`).

What clients saw goes into recordings, which `tests/lock_history.py` checks. A wall clock that is set back cannot be had on loopback
without a change to the program; the tests of the book and the desk pass such times in.
"""
