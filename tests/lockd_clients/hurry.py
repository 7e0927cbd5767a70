"""Loaded into a client by PYTHONPATH as sitecustomize: what it sleeps is a fortieth of what it wants; nothing else is touched."""

import time

_sleep = time.sleep
time.sleep = lambda seconds: _sleep(seconds / 40)
