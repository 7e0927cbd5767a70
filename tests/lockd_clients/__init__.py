"""The real clients of other lock services, as they come from the package registry, against the real patch-lockd.

`python3 -m tests.lockd_clients` installs nothing: `make lock-clients` makes the virtual environments first. Each client is a host: it
runs with a host name and an /etc/hosts of its own, for its full name is all that it says of itself. Where a client sleeps for a
minute between two tries, the queue's run lets it sleep for a second and a half (hurry.py); nothing else of it is touched, and the
runs that wait for nobody are without that.
"""
