"""A file system that is mounted and does not answer: `python3 hanging.py FOLDER`, until its input ends.

It speaks as much of FUSE as makes the kernel ask it for something. What is asked is left unread: whoever asked waits as for a server
of NFS that is gone, and can be killed as there.
"""

import ctypes
import os
import struct
import sys

INIT = 26
HEADER = struct.Struct("=IIQQIIIHH")
ANSWER = struct.Struct("=IiQ")
# Version, read-ahead, flags, background, largest write, time's grain, pages, alignment, nothing.
TERMS = struct.pack("=IIIIHHIIHH32x", 7, 31, 4096, 0, 12, 9, 4096, 1, 1, 0)


def main(folder):
    """Mount, shake hands, be silent."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"hanging", folder.encode(), b"fuse", 0, options):
        sys.exit(f"cannot mount on {folder}: {os.strerror(ctypes.get_errno())}")
    _, opcode, unique, *_ = HEADER.unpack_from(os.read(device, 1 << 17))
    if opcode != INIT:
        sys.exit(f"the kernel begins with {opcode}")
    os.write(device, ANSWER.pack(ANSWER.size + len(TERMS), 0, unique) + TERMS)
    print("ready", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main(sys.argv[1])
