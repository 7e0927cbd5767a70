"""Loaded into Foreman's client: the order of a directory, which its file system decides, is the alphabet's. See W32."""

import os

_listdir = os.listdir
os.listdir = lambda *path: sorted(_listdir(*path))
