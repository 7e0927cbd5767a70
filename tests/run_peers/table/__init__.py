"""The table: what is done to both, and where they differ on purpose, by the weakness of lock-legacy(7) and patch-run(8) that this closes."""

from . import dates, failures, locks, plugins, resumes, scripts, settings, wholes

FILES = (wholes, failures, resumes, locks, dates, scripts, settings, plugins)
CASES = tuple(case for file in FILES for case in file.CASES)
