"""What goes wrong around a run, on booted hosts: the installer, the server, the clock, the disk, the relay, the lock
service, the flag, the shutdown.

`python3 -m tests.faults` runs every case. The promise is one: a clear end. The host is back at its normal level, disarmed, its
journal dated, one mail names the cause, and what was not patches' business is as it was. The files hold a sort of trouble each.
"""
