"""A web server that misbehaves with the files of the pool: bad_www.py PORT FOLDER well|truncate|slow. It says when it listens."""

import http.server
import sys
import time
from pathlib import Path

PORT, FOLDER, HOW = int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
PAUSE = 2.0


class Bad(http.server.BaseHTTPRequestHandler):
    """GET, and no more."""

    protocol_version = "HTTP/1.1"

    def do_GET(self):
        """Answer with a file, in the way that was asked for."""
        path = FOLDER / self.path.lstrip("/")
        if not path.is_file():
            return self.send_error(404)
        data, pooled = path.read_bytes(), self.path.startswith("/pool/")
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        if not pooled or HOW == "well":
            self.wfile.write(data)
        elif HOW == "truncate":
            self.wfile.write(data[:len(data) // 2])
            self.close_connection = True
        else:
            self.wfile.write(data[:len(data) // 2])
            time.sleep(PAUSE)
            self.wfile.write(data[len(data) // 2:])

    def log_message(self, *_):
        """Say nothing."""


with http.server.ThreadingHTTPServer(("127.0.0.1", PORT), Bad) as server:
    print("listens", flush=True)
    server.serve_forever()
