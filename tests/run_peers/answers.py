"""A service that says the same to everybody: what a broken one, or a proxy before it, may say."""

import http.server
import ssl
import threading

from tests.lockd_clients.service import ADDRESS


class Answers:
    """Looks to a client like the service; `asked` has the methods of all requests."""

    def __init__(self, authority, answers):
        self.authority, self.asked = authority, []
        left = {method: list(said) for method, said in answers.items()}
        asked = self.asked

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked.append(self.command)
                said = left.get(self.command) or [(404, '{"detail": "Resource not found"}')]
                status, body = said.pop(0) if len(said) > 1 else said[0]
                self.send_response(status)
                self.send_header("Content-Type", "application/json" if body.startswith("{") else "text/html")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body.encode())

            do_GET = do_PUT = do_POST = do_DELETE = answer

            def log_message(self, *_):
                pass

        certificate, key = authority.issue("lock.example", ADDRESS)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self.server = http.server.ThreadingHTTPServer((ADDRESS, 0), Handler)
        self.server.daemon_threads = True
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.server.handle_error = lambda *_: None
        self.url = f"https://{ADDRESS}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    def kill(self):
        """End it."""
        self.server.shutdown()
        self.server.server_close()
