"""The least of an SMTP server, RFC 5321: takes every mail and makes a file of it. small_smtp.py PORT FOLDER; says when it listens."""

import socketserver
import sys
from pathlib import Path

PORT, FOLDER = int(sys.argv[1]), Path(sys.argv[2])


class Taker(socketserver.StreamRequestHandler):
    """One session."""

    def handle(self):
        """Answer each command; DATA makes a file."""
        self.say("220 small")
        for line in self.rfile:
            word = line[:4].upper().strip()
            if word == b"DATA":
                self.say("354 go on")
                self.take()
            self.say("221 bye" if word == b"QUIT" else "250 ok")
            if word == b"QUIT":
                return

    def say(self, line):
        """An answer."""
        self.wfile.write(line.encode() + b"\r\n")

    def take(self):
        """A mail, up to the line with a dot."""
        lines = []
        while (line := self.rfile.readline()) not in (b".\r\n", b""):
            lines.append(line)
        (FOLDER / f"{len(list(FOLDER.iterdir()))}.eml").write_bytes(b"".join(lines))


socketserver.ThreadingTCPServer.allow_reuse_address = True
with socketserver.ThreadingTCPServer(("127.0.0.1", PORT), Taker) as server:
    print("listens", flush=True)
    server.serve_forever()
