"""A file system that is mounted and does not answer: `python3 hanging.py FOLDER [OPERATION]`, until its input ends, and no longer
than a test may take.

It speaks as much of FUSE as a call of `patch-lock` needs. Without an operation nothing is read that is asked: whoever asked waits as
for a server of NFS that is gone, and can be killed. With one, all but this operation is done. This one is taken and never answered, as
when a server goes while a file is written: whoever asked waits in the kernel, and not even SIGKILL ends it.
"""

import ctypes
import errno
import os
import select
import struct
import sys
import threading

LONGEST = 30
ROOT, FILE = 1, 2
HEADER = struct.Struct("=IIQQIIIHH")
ANSWER = struct.Struct("=IiQ")
# Version, read-ahead, flags, background, largest write, time's grain, pages, alignment, nothing.
TERMS = struct.pack("=IIIIHHIIHH32x", 7, 31, 4096, 0, 12, 9, 4096, 1, 1, 0)
OPENED = struct.pack("=QII", 0, 0, 0)
LOOKUP, GETATTR, SETATTR, UNLINK, LINK, WRITE, RELEASE, FSYNC = 1, 3, 4, 10, 13, 16, 18, 20
FLUSH, INIT, OPENDIR, READDIR, RELEASEDIR, FSYNCDIR, CREATE = 25, 26, 27, 28, 29, 30, 35
FORGET, INTERRUPT, FORGET_MANY = 2, 36, 42
OPERATIONS = {"chmod": SETATTR, "link": LINK, "write": WRITE, "fsync": FSYNC, "flush": FLUSH}


def main(folder, operation=None):
    """Mount, shake hands, be silent."""
    device = os.open("/dev/fuse", os.O_RDWR | os.O_CLOEXEC)
    options = f"fd={device},rootmode=40000,user_id=0,group_id=0".encode()
    if ctypes.CDLL(None, use_errno=True).mount(b"hanging", folder.encode(), b"fuse", 0, options):
        sys.exit(f"cannot mount on {folder}: {os.strerror(ctypes.get_errno())}")
    opcode, unique, *_ = ask(device)
    if opcode != INIT:
        sys.exit(f"the kernel begins with {opcode}")
    answer(device, unique, TERMS)
    if operation:
        threading.Thread(target=serve, args=(device, OPERATIONS[operation]), daemon=True).start()
    print("ready", flush=True)
    # What hangs for ever would hang a test that fails.
    select.select([sys.stdin], [], [], LONGEST)


def ask(device):
    """What the kernel wants next: operation, number, node, the rest."""
    request = os.read(device, 1 << 17)
    _, opcode, unique, node, *_ = HEADER.unpack_from(request)
    return opcode, unique, node, request[HEADER.size:]


def answer(device, unique, body=b"", error=0):
    """Say that it is done, or why not."""
    os.write(device, ANSWER.pack(ANSWER.size + len(body), -error, unique) + body)


def serve(device, silent):
    """A directory with one file, which may have several names."""
    names = set()
    while True:
        opcode, unique, node, body = ask(device)
        if opcode in (silent, FORGET, INTERRUPT, FORGET_MANY):
            continue
        try:
            answer(device, unique, work(names, opcode, node, body))
        except OSError as why:
            answer(device, unique, error=why.errno)


def work(names, opcode, node, body):
    """One operation: what is answered."""
    name = body[16 if opcode == CREATE else 8 if opcode == LINK else 0:].rstrip(b"\0")
    if opcode == LOOKUP and name not in names:
        raise OSError(errno.ENOENT, "")
    if opcode in (CREATE, LINK):
        names.add(name)
    elif opcode == UNLINK:
        names.discard(name)
    if opcode in (LOOKUP, CREATE, LINK):
        return entry(names) + (OPENED if opcode == CREATE else b"")
    if opcode in (GETATTR, SETATTR):
        return struct.pack("=QII", 0, 0, 0) + attributes(names, node)
    if opcode == OPENDIR:
        return OPENED
    if opcode == WRITE:
        return struct.pack("=II", struct.unpack_from("=QQI", body)[2], 0)
    if opcode in (UNLINK, FSYNC, FLUSH, RELEASE, READDIR, RELEASEDIR, FSYNCDIR):
        return b""
    raise OSError(errno.ENOSYS, "")


def entry(names):
    """The file, as a lookup finds it; nothing is to be kept in mind."""
    return struct.pack("=4Q2I", FILE, 0, 0, 0, 0, 0) + attributes(names, FILE)


def attributes(names, node):
    """Number, size, blocks, times, mode, names, owner and group, device, block size, flags."""
    mode, links = (0o40755, 2) if node == ROOT else (0o100644, len(names))
    return struct.pack("=6Q10I", node, 0, 0, 0, 0, 0, 0, 0, 0, mode, links, 0, 0, 0, 4096, 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
