"""A private network for hosts: a bridge, and for each host a network namespace with one interface.

The bridge lives in the laboratory's network namespace. The machine's own namespace gets no interface, no
address and no route, and a guest cannot reach the machine nor anything behind it.
"""

import ipaddress
import itertools

from .lab import Lab


class Net:
    """A subnet; hosts are attached to it by name, and a test speaks from its first address with `run`."""

    def __init__(self, lab=None, subnet="10.77.0.0/24"):
        self.lab = lab or Lab.current()
        self.subnet = ipaddress.ip_network(subnet)
        self._free = self.subnet.hosts()
        self.address = str(next(self._free))
        self.bridge = f"lab{len(self.lab.nets)}"
        self.lab.nets.append(self)
        self._ports = itertools.count()
        self.links = {}
        self.lab.run("ip", "-batch", "-", stdin=None, input=(
            "link set lo up\n"
            f"link add {self.bridge} type bridge\n"
            f"address add {self.address}/{self.subnet.prefixlen} dev {self.bridge}\n"
            f"link set {self.bridge} up\n"))

    def attach(self, name, write_hosts):
        """Give a host called `name` an interface and an address, which stay its own until `Link.remove`.

        There is no name server: `write_hosts` gets the text of the host's /etc/hosts, now and when others come.
        """
        self.links[name] = Link(self, name, str(next(self._free)), f"{self.bridge}p{next(self._ports)}", write_hosts)
        lines = [f"{link.address} {link.name}" for link in self.links.values()]
        for link in self.links.values():
            link.write_hosts("\n".join(["127.0.0.1 localhost", *lines, ""]))
        return self.links[name]

    def run(self, *argv, **options):
        """Run a program of the machine on the network, as a test that speaks to its hosts does."""
        return self.lab.run(*argv, **options)


class Link:
    """One host's place on the network."""

    def __init__(self, net, name, address, port, write_hosts):
        self.net, self.name, self.address, self.port = net, name, address, port
        self.write_hosts = write_hosts
        self.namespace = f"{net.bridge}-{name}"
        self.lab = net.lab
        self.lab.run("ip", "netns", "add", self.namespace)
        self.lab.run("ip", "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", self.namespace)
        self.restore()

    def up(self):
        """Bring the host's interfaces up, as a boot does: the shutdown before took them down."""
        self.lab.run("ip", "-netns", self.namespace, "-batch", "-", stdin=None, input=(
            "link set lo up\n"
            "link set eth0 up\n"
            f"address replace {self.address}/{self.net.subnet.prefixlen} dev eth0\n"))

    def cut(self):
        """Pull the cable: the host keeps its address and hears nobody."""
        self.lab.run("ip", "link", "set", self.port, "down")

    def restore(self):
        """Put the cable back."""
        self.lab.run("ip", "link", "set", self.port, "master", self.net.bridge, "up")

    def remove(self):
        """Take the host off the network for good."""
        self.lab.run("ip", "link", "del", self.port)
        self.lab.run("ip", "netns", "del", self.namespace)
        del self.net.links[self.name]
