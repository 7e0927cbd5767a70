"""`make demo`: a patch server and a fleet of real hosts, patched with real Debian updates by cron and init alone."""
