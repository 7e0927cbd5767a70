"""The one error of the test laboratory."""


class LabError(Exception):
    """The laboratory cannot do what was asked; the message says why, and what to do next."""
