# patchflag: see README.md. Whatever a target needs on a bare Debian 12 with Rust it installs by itself; it starts no daemon
# of the machine's and leaves nothing behind but its cache.

CACHE := $(or $(PATCHFLAG_TEST_CACHE),/var/cache/patchflag-tests)
export PATCHFLAG_TEST_CACHE := $(CACHE)
# A fresh checkout in CI finds the compiled dependencies of the last one.
export CARGO_TARGET_DIR ?= $(if $(CI),$(CACHE)/target,$(CURDIR)/target)
STATIC := x86_64-unknown-linux-musl
PROFILE ?= release
BUILT := $(CARGO_TARGET_DIR)/$(STATIC)/$(PROFILE)

DESTDIR ?=
sbindir ?= /usr/sbin
mandir ?= /usr/share/man
unitdir ?= /lib/systemd/system

TOOLS_BIN := $(notdir $(basename $(wildcard src/bin/*.rs)))

.PHONY: all build check ground tools lint unit crash crash-sample install clean

all: build

build:
	cargo build --locked --profile $(PROFILE) --target $(STATIC) --bins

check: ground lint unit crash-sample

# What the targets need and a bare machine may lack. None of these packages starts a service.
NEEDED := apt-utils binutils busybox-static debootstrap dpkg-dev gcc gpg gpgv iproute2 libc6-dev man-db minisign musl-tools \
          openssl python3 python3-venv shellcheck strace systemd-container zstd
tools:
	@missing=""; for p in $(NEEDED); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "tools: installing$$missing"; apt-get -q update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $$missing; fi

ground: tools
	@tests/ground.sh

SCRIPTS = $(shell git grep -lE '^\#!/bin/(ba)?sh' -- . | sort)
lint: tools
	cargo fmt --all --check
	cargo clippy --locked --all-targets -- -D warnings
	shellcheck $(SCRIPTS)

unit: tools
	cargo test --locked

# Every tool killed before every system call that changes something, on booted hosts. All of it, or a sample by the commit.
crash: tools
	python3 -m tests.crash

crash-sample: tools
	python3 -m tests.crash --sample 40

install: build
	install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8 $(DESTDIR)$(unitdir) \
	  $(DESTDIR)/etc/init.d $(DESTDIR)/etc/cron.d $(DESTDIR)/etc/patch/confirm.d $(DESTDIR)/etc/patch/on_failure.d
	install -m 0755 $(addprefix $(BUILT)/,$(TOOLS_BIN)) $(DESTDIR)$(sbindir)
	install -m 0755 rc/sysv/patchit $(DESTDIR)/etc/init.d/patchit
	install -m 0644 $(wildcard rc/systemd/*.service) $(DESTDIR)$(unitdir)
	install -d $(DESTDIR)$(unitdir)/system-update.target.wants
	ln -sf ../patchit-offline.service $(DESTDIR)$(unitdir)/system-update.target.wants/patchit-offline.service
	install -m 0644 $(wildcard doc/*.5) $(DESTDIR)$(mandir)/man5
	install -m 0644 $(wildcard doc/*.8) $(DESTDIR)$(mandir)/man8
	test -e $(DESTDIR)/etc/cron.d/patchflag || install -m 0644 cron/patchflag $(DESTDIR)/etc/cron.d/patchflag
	test -e $(DESTDIR)/etc/patch/config.ini || install -m 0644 pkg/config.ini $(DESTDIR)/etc/patch/config.ini

clean:
	cargo clean
