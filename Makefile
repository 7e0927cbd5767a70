# patchflag: see README.md. Whatever a target needs on a bare Debian 12 with Rust it installs by itself; it starts no daemon
# of the machine's and leaves nothing behind but its cache.

CACHE := $(or $(PATCHFLAG_TEST_CACHE),/var/cache/patchflag-tests)
export PATCHFLAG_TEST_CACHE := $(CACHE)
# A fresh checkout in CI finds the compiled dependencies of the last one.
export CARGO_TARGET_DIR ?= $(if $(CI),$(CACHE)/target,$(CURDIR)/target)
STATIC := x86_64-unknown-linux-musl
# But nothing of our own: each of its checkouts is a new one, and what the last one left would only fill the cache.
ifdef CI
export CARGO_INCREMENTAL := 0
FORGET = cargo clean -q --locked -p patchflag && cargo clean -q --locked -p patchflag --target $(STATIC) --profile lab
endif
PROFILE ?= release
BUILT := $(CARGO_TARGET_DIR)/$(STATIC)/$(PROFILE)

DESTDIR ?=
sbindir ?= /usr/sbin
mandir ?= /usr/share/man
docdir ?= /usr/share/doc/patchflag
unitdir ?= /lib/systemd/system

TOOLS_BIN := $(notdir $(basename $(wildcard src/bin/*.rs)))

.PHONY: all build check ground tools lint unit unit-built unit-lib hosts chain chain-sample faults faults-sample lock-backends lock-backends-sample lock-clients run-peers run-peers-sample crash-sample crash run-crash run-crash-sample modules-crash modules-crash-sample lock-proof lock-proof-sample demo bench install dist clean peers lock-peers tree

all: build

build:
	cargo build --locked --features server --profile $(PROFILE) --target $(STATIC) --bins

# Everything that must hold, in the order in which it fails fastest; the demo last. What mostly waits runs beside what works, and what
# each of them says is kept together.
BESIDE = $(MAKE) -j4 --output-sync=target
check: ground
	$(FORGET)
	$(BESIDE) lint tree hosts unit-built crash-sample chain-sample faults-sample unit lock-proof-sample lock-backends-sample \
	  lock-clients run-crash-sample run-peers-sample modules-crash-sample
	$(MAKE) demo

# What the targets need and a bare machine may lack. None of these packages starts a service.
NEEDED := apt-utils binutils busybox-static curl debootstrap dpkg-dev gcc git gpg gpgv iproute2 libc6-dev man-db minisign musl-tools \
          openssl python3 python3-venv shellcheck strace systemd-container time xz-utils zstd
tools:
	@missing=""; for p in $(NEEDED); do dpkg -s $$p >/dev/null 2>&1 || missing="$$missing $$p"; done; \
	if [ -n "$$missing" ]; then echo "tools: installing$$missing"; apt-get -q update && \
	  DEBIAN_FRONTEND=noninteractive apt-get -q -y --no-install-recommends install $$missing; fi

ground: tools
	@tests/ground.sh

SCRIPTS = $(shell git grep -lE '^\#!/bin/(ba)?sh' -- . ':!doc' | sort)
lint: tools
	cargo fmt --all --check
	cargo clippy --locked --all-targets --features server -- -D warnings
	shellcheck $(SCRIPTS)

# Programs of others that tests talk to, in a virtual environment below the build output.
PEERS := $(CARGO_TARGET_DIR)/venv
export PATCHFLAG_PYTHON := $(PEERS)/bin/python3
peers: $(PEERS)/done
$(PEERS)/done: tests/peers.txt | tools
	python3 -m venv $(PEERS)
	$(PEERS)/bin/pip install -q -r tests/peers.txt
	touch $@

# The clients of other lock services, each as its hosts have it: versions of one program do not fit into one environment.
LOCK_CLIENTS := $(CARGO_TARGET_DIR)/lock-clients
export PATCHFLAG_LOCK_CLIENTS := $(LOCK_CLIENTS)
lock-peers: $(addprefix $(LOCK_CLIENTS)/,dlm-1.0/done dlm-0.4/done foreman/done)
$(LOCK_CLIENTS)/%/done: tests/peers-%.txt | tools
	rm -rf $(@D)
	python3 -m venv $(@D)
	$(@D)/bin/pip install -q -r $<
	touch $@

# The library's own tests, and each program of tests/ by itself: side by side they take half the time.
UNITS := unit-lib $(patsubst tests/%.rs,unit-%,$(wildcard tests/*.rs)) $(patsubst tests/%/main.rs,unit-%,$(wildcard tests/*/main.rs))
unit: $(UNITS)
unit-built: tools peers
	cargo test --locked --features server --no-run
unit-lib: unit-built
	cargo test --locked --features server --lib
unit-%: unit-built
	cargo test --locked --features server --test $*

# The tools as they lie on a host, for everything that boots one.
TREE := $(CARGO_TARGET_DIR)/tree
export PATCHFLAG_TEST_TOOLS := $(TREE)
tree: tools
	rm -rf $(TREE)
	$(MAKE) -s install PROFILE=lab DESTDIR=$(TREE)

# What tests may rely on, on really booted hosts; what init does with our scripts and units.
hosts: tools
	python3 -m tests.hosts.selftest
	python3 -m tests.rc_boot
	python3 -m tests.rc_run

chain: tree
	python3 -m tests.chain
chain-sample: tree
	python3 -m tests.chain --sample 44

# What goes wrong around a run: installer, server, clock, disks, relay, flag, shutdown. Of a sample, the seed is the commit's.
faults: tree
	python3 -m tests.faults
faults-sample: tree
	python3 -m tests.faults --sample 16

# The real clients of other lock services against our patch-lockd.
lock-clients: tree lock-peers
	python3 -m tests.lockd_clients

# The real Python updaters and patch-run under their names: the same configuration and scripts, the same service.
run-peers: tree lock-peers
	python3 -m tests.run_peers
run-peers-sample: tree lock-peers
	python3 -m tests.run_peers --sample 60

# patch-lock with a real etcd of three members, which fail, and with a directory that two hosts share.
lock-backends: tree
	python3 -m tests.lock_backends
lock-backends-sample: tree
	python3 -m tests.lock_backends --sample 8

# Every kill point takes some two hours: both inits, without a lock and with one.
crash-sample: tree
	python3 -m tests.crash --sample 24
crash: tree lock-proof
	python3 -m tests.crash
	python3 -m tests.crash_vm

# patch-run: every kill point takes an hour; bad nights.
run-crash-sample: tree
	python3 -m tests.run_crash --sample 24
run-crash: tree
	python3 -m tests.run_crash

# patch-modules: killed at every call that changes something takes some minutes; limits on a virtual machine.
modules-crash-sample: tree
	python3 -m tests.modules_crash --sample 40
modules-crash: tree
	python3 -m tests.modules_crash
	python3 -m tests.modules_limits

# The lock service: killed under load and at every call that changes its store; what clients saw against its history; no answer before
# the flush.
lock-proof: tree
	python3 -m tests.lock_history_selftest
	python3 -m tests.lock_proof
lock-proof-sample: tree
	python3 -m tests.lock_history_selftest
	python3 -m tests.lock_proof --sample 16

demo: tree
	python3 -m tests.demo

# What is measured is what is shipped.
bench: tools peers lock-peers
	rm -rf $(CARGO_TARGET_DIR)/shipped
	$(MAKE) -s install PROFILE=dist DESTDIR=$(CARGO_TARGET_DIR)/shipped
	mkdir -p target
	python3 benches/noop.py --tools $(CARGO_TARGET_DIR)/shipped$(sbindir) --venv $(PEERS) --json target/bench.json
	cargo build --locked --features server --profile dist --target $(STATIC) --example lock-load
	python3 benches/lock.py --tools $(CARGO_TARGET_DIR)/shipped$(sbindir) --cache $(CACHE) --json target/bench.json \
	  --venv $(LOCK_CLIENTS)/dlm-0.4 --load $(CARGO_TARGET_DIR)/$(STATIC)/dist/examples/lock-load
	python3 benches/run.py --tools $(CARGO_TARGET_DIR)/shipped$(sbindir) --clients $(LOCK_CLIENTS) --cache $(CACHE) --json target/bench.json
	python3 benches/modules.py --tools $(CARGO_TARGET_DIR)/shipped$(sbindir) --json target/bench.json
	PATCHFLAG_TEST_TOOLS=$(CARGO_TARGET_DIR)/shipped python3 -m tests.demo --json target/bench.json

# A tarball to install from: `tar -C / -xf`.
VERSION := $(shell sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -n 1)
dist: tools
	rm -rf target/dist && mkdir -p target/dist
	$(MAKE) -s install PROFILE=dist DESTDIR=$(CURDIR)/target/dist/root
	tar -C target/dist/root --owner=0 --group=0 --sort=name -cf - . | zstd -q -f -o target/dist/patchflag-$(VERSION).tar.zst
	rm -rf target/dist/root
	cd target/dist && sha256sum patchflag-$(VERSION).tar.zst | tee SHA256SUMS

EXAMPLES = $(shell cd pkg && find examples -type f | sort)
install: build
	install -d $(DESTDIR)$(sbindir) $(DESTDIR)$(mandir)/man5 $(DESTDIR)$(mandir)/man8 $(DESTDIR)$(unitdir) \
	  $(DESTDIR)/etc/init.d $(DESTDIR)/etc/cron.d $(DESTDIR)/etc/patch/confirm.d $(DESTDIR)/etc/patch/on_failure.d $(DESTDIR)/etc/patch/overdue.d
	install -m 0755 $(addprefix $(BUILT)/,$(TOOLS_BIN)) $(DESTDIR)$(sbindir)
	for name in dlm_engine_updater foreman_dlm_updater; do ln -sf patch-run $(DESTDIR)$(sbindir)/$$name; done
	install -m 0755 $(wildcard rc/sysv/*) $(DESTDIR)/etc/init.d
	install -m 0644 $(wildcard rc/systemd/*.service rc/systemd/*.timer) $(DESTDIR)$(unitdir)
	install -d $(DESTDIR)$(unitdir)/system-update.target.wants
	ln -sf ../patchit-offline.service $(DESTDIR)$(unitdir)/system-update.target.wants/patchit-offline.service
	install -m 0644 $(wildcard doc/*.5) $(DESTDIR)$(mandir)/man5
	install -m 0644 $(wildcard doc/*.8) $(DESTDIR)$(mandir)/man8
	test -z "$(wildcard doc/*.7)" || { install -d $(DESTDIR)$(mandir)/man7; install -m 0644 $(wildcard doc/*.7) $(DESTDIR)$(mandir)/man7; }
	install -d $(DESTDIR)$(docdir)
	install -m 0644 $(wildcard doc/*.md) $(DESTDIR)$(docdir)
	for name in $(EXAMPLES); do mode=0644; [ ! -x pkg/$$name ] || mode=0755; \
	  install -D -m $$mode pkg/$$name $(DESTDIR)$(docdir)/$$name || exit; done
	for name in $(notdir $(wildcard cron/*)); do \
	  test -e $(DESTDIR)/etc/cron.d/$$name || install -m 0644 cron/$$name $(DESTDIR)/etc/cron.d/$$name; done
	test -e $(DESTDIR)/etc/patch/config.ini || install -m 0644 pkg/config.ini $(DESTDIR)/etc/patch/config.ini

clean:
	cargo clean
