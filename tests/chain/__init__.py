"""The chain on booted hosts: armed, staged, patched in a maintenance boot, back, confirmed, mailed, and every way around that.

`python3 -m tests.chain` runs every case on sysvinit and on systemd. A case is a function that gets a `Rig`: one host, idle at its
normal level. The files hold a promise each.
"""
