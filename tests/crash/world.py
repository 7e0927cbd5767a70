"""Where a run takes place: on which init, and with a lock or, as by default, without one."""

from dataclasses import dataclass

WITH_LOCKS = "-lock"


@dataclass(frozen=True, order=True)
class World:
    """`sysv`, `systemd`, `sysv-lock`, `systemd-lock`."""

    kind: str
    locks: bool

    def __str__(self):
        return self.kind + WITH_LOCKS * self.locks

    @classmethod
    def read(cls, text):
        """The world of a name."""
        return cls(text.removesuffix(WITH_LOCKS), text.endswith(WITH_LOCKS))
