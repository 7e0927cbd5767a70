"""Real Debian hosts for tests, booted with their own init in containers. See `python3 -m tests.hosts --help`."""
