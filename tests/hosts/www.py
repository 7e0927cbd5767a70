"""A web server of static files on a server host, by http and https."""

import json
from pathlib import Path

from .smtp import is_listening

FOLDER = "/srv/www"
SITE = """
log_format test escape=json '{{"host":"$remote_addr","method":"$request_method","path":"$request_uri","status":$status,'
                            '"bytes":$body_bytes_sent,"tls":"$ssl_protocol","agent":"$http_user_agent"}}';
server {{
    listen 80;
    listen 443 ssl;
    server_name {name};
    ssl_certificate /etc/nginx/test.pem;
    ssl_certificate_key /etc/nginx/test.key;
    root {folder};
    access_log /var/log/nginx/test.log test;
    include /etc/nginx/test-fault*.conf;
}}
"""


class Www:
    """nginx with one site; what lies in its tree can be fetched."""

    def __init__(self, host, authority):
        """Install on a host that is off; nginx is started by its package's own unit."""
        self.host = host
        certificate, key = authority.issue(host.name, *([host.link.address] if host.link else []))
        host.write("/etc/nginx/test.pem", certificate.read_text())
        host.write("/etc/nginx/test.key", key.read_text(), 0o600)
        host.write("/etc/nginx/sites-enabled/test", SITE.format(name=host.name, folder=FOLDER))
        host.path(FOLDER).mkdir(exist_ok=True)

    def wait_ready(self, timeout=20):
        """Wait until the ports are open."""
        self.host.wait_for(lambda: is_listening(self.host, 443), timeout, "the web server")

    def publish(self, folder, at="/"):
        """Copy a tree to below the site's root; files that are there already are replaced."""
        base = Path(folder)
        for path in sorted(base.rglob("*")):
            if path.is_file():
                self.host.write(f"{FOLDER}/{at}/{path.relative_to(base)}", path.read_bytes())

    def requests(self):
        """Every request answered, oldest first: host, method, path, status, bytes, tls, agent."""
        if not self.host.exists("/var/log/nginx/test.log"):
            return []
        return [json.loads(line) for line in self.host.read("/var/log/nginx/test.log").splitlines()]

    def fail(self, directives):
        """Have the running nginx obey more directives, such as `return 503;` or `limit_rate 1k;`."""
        self.host.write("/etc/nginx/test-fault.conf", directives + "\n")
        self.host.output(["nginx", "-s", "reload"])

    def recover(self):
        """Be a good server again."""
        self.host.remove("/etc/nginx/test-fault.conf")
        self.host.output(["nginx", "-s", "reload"])
