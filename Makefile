# patchflag: see README.md. Everything a target needs on a bare Debian 12 with Rust, it installs; it starts no daemon.
.PHONY: check ground tools

check: ground

# What the checks need and a bare machine may lack. None of these packages starts a service.
TOOLS = binutils debootstrap gpgv iproute2 minisign musl-tools python3-venv shellcheck strace systemd-container \
        busybox-static zstd dpkg-dev apt-utils openssl
tools:
	@missing=""; for p in $(TOOLS); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "tools: installing$$missing"; apt-get -q update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $$missing; fi

ground: tools
	@tests/ground.sh
