"""The checksum of a module's directory, as patch-manifest(5) tells people to compute it. Usage: checksum.py DIR"""

import hashlib
import os
import stat
import sys


def checksum(top):
    records = []
    for folder, folders, files in os.walk(top):
        for name in folders + files:
            full = os.path.join(folder, name)
            path, st = os.path.relpath(full, top), os.lstat(full)
            if path == b"checksum" and stat.S_ISREG(st.st_mode):
                continue
            if stat.S_ISLNK(st.st_mode):
                kind, data = b"l", os.readlink(full)
            elif stat.S_ISDIR(st.st_mode):
                kind, data = b"d", b""
            else:
                with open(full, "rb") as file:
                    kind, data = b"f", file.read()
            digest = hashlib.sha256(data).hexdigest().encode()
            records.append((path, b"%s %04o %d %s %s\0" % (kind, st.st_mode & 0o7777, len(data), digest, path)))
    return hashlib.sha256(b"".join(record for _, record in sorted(records))).hexdigest()


if __name__ == "__main__":
    print(checksum(os.fsencode(sys.argv[1])))
