"""Run by the Python of 1.0.5's environment: what its own class understands of each configuration that stands in the input.

In: a JSON list of {"text", "environment"}. Out: a JSON list of the class's values by key, or null where it ends with an error.
"""

import contextlib
import io
import json
import logging
import os
import sys
import tempfile

from dlm_engine_updater.config import DlmUpdaterConfig


def flat(value, name=""):
    """main_api_ca: … for {"main": {"api": {"ca": …}}}."""
    if not isinstance(value, dict):
        return {name: value}
    return {key: leaf for part, inner in value.items() for key, leaf in flat(inner, f"{name}_{part}".strip("_")).items()}


def understood(text, environment):
    """The values of one configuration."""
    with tempfile.NamedTemporaryFile("w", suffix=".env", newline="") as file, contextlib.redirect_stdout(io.StringIO()):
        file.write(text)
        file.flush()
        os.environ.clear()
        os.environ.update(environment)
        try:
            read = flat(DlmUpdaterConfig(_env_file=file.name).model_dump()["main"], "main")
            logging.getLogger("level").setLevel(read["main_log_level"])
            return read
        except (Exception, SystemExit):  # noqa: BLE001  (a traceback is this client's way to refuse a configuration)
            return None


json.dump([understood(**one) for one in json.load(sys.stdin)], sys.stdout)
