"""Things made once and kept in the cache beside the roots: a tarball under the digest of what it is made from."""

import hashlib
import os
import shutil
import tempfile
import time
from pathlib import Path

from . import roots


def kept(stem, ingredients, make, progress=lambda line: None):
    """The tarball `stem`; when it is not there, `make(draft folder)` makes one and returns its path in the folder."""
    digest = hashlib.sha256(repr(ingredients).encode()).hexdigest()[:16]
    place = roots.cache() / f"{stem}-{digest}.tar.zst"
    if not place.exists():
        with roots.one_builder():
            if not place.exists():
                start = time.monotonic()
                progress(f"{stem}: building")
                draft = Path(tempfile.mkdtemp(prefix=f"{stem}.", suffix=".draft", dir=roots.cache()))
                try:
                    os.rename(make(draft), place)
                finally:
                    shutil.rmtree(draft)
                progress(f"{stem}: built in {time.monotonic() - start:.1f} s, {place.stat().st_size >> 20} MB")
    os.utime(place)
    return place
