"""A certificate authority for tests: made anew for each run, trusted by the hosts that are told to."""

import ipaddress
import subprocess
from pathlib import Path

from . import tools

TRUSTED = "/usr/local/share/ca-certificates/patchflag-test.crt"


class Authority:
    """An authority whose key lies in a folder of the test's; `issue` makes certificates for servers and clients."""

    def __init__(self, folder):
        tools.require("openssl")
        self.folder = Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.certificate = self.folder / "ca.pem"
        self._openssl("req", "-x509", *new_key("ca.key"), "-out", "ca.pem", "-days", "30",
                      "-subj", "/CN=patchflag test authority",
                      "-addext", "basicConstraints=critical,CA:TRUE", "-addext", "keyUsage=critical,keyCertSign,cRLSign")

    def issue(self, name, *others):
        """(certificate, key) for a host or client, valid for `name` and other names or addresses."""
        alternatives = ",".join(f"{kind_of(text)}:{text}" for text in (name, *others))
        self._openssl("req", *new_key(f"{name}.key"), "-out", f"{name}.csr", "-subj", f"/CN={name}")
        extensions = self.folder / f"{name}.ext"
        extensions.write_text(f"subjectAltName={alternatives}\nbasicConstraints=CA:FALSE\n"
                              "extendedKeyUsage=serverAuth,clientAuth\n")
        self._openssl("x509", "-req", "-in", f"{name}.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial",
                      "-days", "30", "-extfile", extensions.name, "-out", f"{name}.pem")
        return self.folder / f"{name}.pem", self.folder / f"{name}.key"

    def trust(self, host):
        """Add the authority to a host's trusted ones, as its administrator would."""
        host.write(TRUSTED, self.certificate.read_text())
        host.chroot("update-ca-certificates")

    def _openssl(self, *argv):
        subprocess.run(["openssl", *argv], cwd=self.folder, check=True, capture_output=True)


def new_key(file):
    """Options that make a new key of a sort every TLS library accepts, without passphrase."""
    return "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-keyout", file


def kind_of(text):
    """How a certificate has to call the name: an address is no DNS name."""
    try:
        ipaddress.ip_address(text)
        return "IP"
    except ValueError:
        return "DNS"
