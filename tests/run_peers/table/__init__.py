"""The table: what is done to both, and where they differ on purpose, by the weakness of lock-legacy(7) and patch-run(8) that this closes."""

from . import dates, failures, locks, resumes, scripts, settings, wholes

CASES = (*wholes.CASES, *failures.CASES, *resumes.CASES, *locks.CASES, *dates.CASES, *scripts.CASES, *settings.CASES)
