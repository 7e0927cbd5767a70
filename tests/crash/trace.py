"""What strace(1) saw: system calls in the order they were entered, and which of them change something.

A kill by `inject=CALL:signal=KILL:when=N` falls before the Nth such call of a process, counted from its start. So calls are counted
here as strace counts them: per process and name, failed ones and readers too.
"""

import re
from collections import Counter
from dataclasses import dataclass, field

# What is recorded. Reading is left out: it leaves nothing behind.
TRACED = ("open,openat,openat2,creat,write,writev,pwrite64,pwritev,rename,renameat,renameat2,unlink,unlinkat,link,linkat,"
          "symlink,symlinkat,mkdir,mkdirat,rmdir,mknod,mknodat,fsync,fdatasync,sync,syncfs,truncate,ftruncate,fallocate,chmod,"
          "fchmod,fchmodat,chown,fchown,lchown,fchownat,utimensat,setxattr,lsetxattr,fsetxattr,removexattr,copy_file_range,"
          "sendfile,sendto,recvfrom,flock,kill,tgkill,reboot,mount,umount2,clone,clone3,fork,vfork,execve,wait4,waitid,exit_group")
OPENS = {"open", "openat", "openat2"}
WRITES = {"write", "writev", "pwrite64", "pwritev", "sendfile", "copy_file_range"}
ON_FILES = WRITES | {"ftruncate", "fallocate", "fsync", "fdatasync", "syncfs", "fchmod", "fchown", "fsetxattr", "flock"}
ALWAYS = {"creat", "rename", "renameat", "renameat2", "unlink", "unlinkat", "link", "linkat", "symlink", "symlinkat", "mkdir",
          "mkdirat", "rmdir", "mknod", "mknodat", "sync", "truncate", "chmod", "fchmodat", "chown", "lchown", "fchownat",
          "utimensat", "setxattr", "lsetxattr", "removexattr", "kill", "reboot", "mount", "umount2", "exit_group"}
# A request is on its way, or its answer is here and nobody knows it yet.
TALKS = {"sendto", "recvfrom"}
STARTS = {"clone", "clone3", "fork", "vfork"}
WAITS = {"wait4", "waitid"}
WRITER = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC")
LINE = re.compile(r"^(?:(\d+) +)?(.*)$")
CALL = re.compile(r"^(\w+)\((.*)$")
RESUMED = re.compile(r"^<\.\.\. (\w+) resumed>(.*)$")
DESCRIPTOR = re.compile(r"^\w*?(-?\d+|AT_FDCWD)(?:<((?:[^<>]|<[^<>]*>)*)>)?")
ANSWER = re.compile(r"^(.*)\) += (.*)$")
KILLED = "+++ killed by SIGKILL +++"


def reaper(trace):
    """A program that reads what strace says into a file, and ends everybody whom strace follows as soon as one of them was killed."""
    return f"""#!/bin/sh
while IFS= read -r line; do
    printf '%s\\n' "$line" >>{trace}
    case $line in *"{KILLED}")
        kill -9 $(awk '/^Pid:/ {{ pid = $2 }} /^TracerPid:/ && $2 > 0 {{ print pid }}' /proc/[0-9]*/status) 2>/dev/null ;;
    esac
done
"""


def options(output, *more, follow=True, traced=TRACED):
    """The words for strace: what is recorded, and where to."""
    # A filter in the kernel spares stops, but where it stops a process strace can send it no signal.
    speed = ["--seccomp-bpf"] if follow and not more else []
    return [*(["-f", *speed] if follow else []), "-yy", "-s", "4096", "-o", output, "-e", f"trace={traced}", "-e", "signal=kill", *more]


def kill_before(call, number):
    """The words for strace that kill a process before its Nth such call."""
    return ["-e", f"inject={call}:signal=KILL:when={number}"]


@dataclass
class Call:
    """One system call: the process, its name, the text of its arguments and answer, and its number among its like."""

    pid: int
    name: str
    text: str
    number: int
    changes: bool = field(default=False)

    @property
    def answer(self):
        """What the kernel answered, as strace writes it; empty if the call never came back."""
        return self._halves()[1]

    @property
    def arguments(self):
        """The text of its arguments."""
        return self._halves()[0]

    def _halves(self):
        found = ANSWER.match(self.text)
        return found.groups() if found else (self.text, "")

    @property
    def succeeded(self):
        """It came back and was no failure."""
        return bool(self.answer) and not self.answer.startswith(("-1", "?"))

    @property
    def path(self):
        """The path of the descriptor that is its first argument, or an empty text."""
        found = DESCRIPTOR.match(self.text)
        return (found[2] or "") if found else ""


def read(text):
    """The calls of a recording, and the process that was started first."""
    calls, numbers, open_calls = [], Counter(), {}
    for line in text.splitlines():
        pid, rest = LINE.match(line).groups()
        pid = int(pid or 0)
        resumed = RESUMED.match(rest)
        if resumed:
            call = open_calls.pop((pid, resumed[1]), None)
            if call:
                call.text += resumed[2]
            continue
        entered = CALL.match(rest)
        if not entered:
            continue
        name, words = entered.groups()
        numbers[pid, name] += 1
        call = Call(pid, name, words.replace("<unfinished ...>", ""), numbers[pid, name])
        if "<unfinished ...>" in words:
            open_calls[pid, name] = call
        calls.append(call)
    mark(calls)
    return calls[0].pid if calls else 0, calls


def mark(calls):
    """Say of each call whether it changes something. While a process waits for its child, the child is at work: of each row of
    waits the first counts."""
    has_child = set()
    for call in calls:
        call.changes = does_change(call) or (call.name in WAITS and call.pid in has_child)
        if call.name in STARTS:
            has_child.add(call.pid)
        elif call.name in WAITS:
            has_child.discard(call.pid)


def does_change(call):
    """Whether a call changes what others can see: files, processes, locks, what a server knows. Writing to a
    terminal or pipe does not."""
    if call.name in OPENS:
        return bool(WRITER.search(call.text)) and "/dev/" not in call.text.partition(",")[2][:12]
    if call.name in ON_FILES:
        path = call.path
        return path.startswith("/") and not path.startswith(("/memfd:", "/dev/", "/proc/"))
    return call.name in ALWAYS or call.name in STARTS or is_talk(call)


def is_talk(call):
    """Whether a call speaks with a server."""
    return call.name in TALKS and call.path.startswith("TCP")


def points(text):
    """Where this recording can be cut: `tool` before a call of the tool itself, its children living on; `tree` before a call of
    one of its children, with everybody killed."""
    first, calls = read(text)
    found = [("tool", call.name, call.number) for call in calls if call.pid == first and call.changes]
    seen = set()
    for call in calls:
        # The first process to come to its Nth call is the one that is hit.
        if (call.name, call.number) not in seen:
            seen.add((call.name, call.number))
            if call.pid != first and call.changes and call.name not in ("execve", "exit_group"):
                found.append(("tree", call.name, call.number))
    return found
