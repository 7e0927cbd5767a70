#!/bin/bash
# Proves the ground that the tests stand on, before anything is built on it: the static target, the package
# tools, mounts, network namespaces, a booted container, tracing with fault injection. A machine that cannot
# do one of these is named here in a second, and not an hour later in the middle of a suite.
set -euo pipefail

work=$(mktemp -d /var/tmp/patchflag-ground.XXXXXX)
netns=pfg$$
passed=0

cleanup() {
    ip netns del "$netns" 2>/dev/null || true
    while read -r mount; do umount -l "$mount"; done < <(
        awk -v w="$work" 'index($5, w) == 1 { print $5 }' /proc/self/mountinfo | sort -r)
    rm -rf --one-file-system "$work"
}
trap cleanup EXIT

# prove NAME COMMAND…: run it, and say which ground is missing if it fails.
prove() {
    local name=$1 log=$work/log code
    shift
    # Not `if "$@"`: a condition would switch errexit off inside the function that is called.
    set +e
    (set -e; "$@") >"$log" 2>&1 </dev/null
    code=$?
    set -e
    if [ "$code" = 0 ]; then
        passed=$((passed + 1))
        printf 'ground: %s\n' "$name"
    else
        printf 'ground: cannot use %s: the command failed: %s\n' "$name" "$*" >&2
        tail -n 20 "$log" >&2
        exit 1
    fi
}

static_binary() {
    printf 'fn main() { println!("static"); }\n' >"$work/hello.rs"
    rustc --target x86_64-unknown-linux-musl -O -o "$work/hello" "$work/hello.rs"
    if readelf -l "$work/hello" | grep -q INTERP; then return 1; fi
    [ "$("$work/hello")" = static ]
}

apt_archive() { apt-get -q --print-uris --reinstall install hostname | grep -q "hostname_"; }

pip_venv() {
    python3 -m venv "$work/venv"
    "$work/venv/bin/pip" --version
}

overlay_mount() {
    mkdir "$work/fs"
    mount -t tmpfs -o size=64m patchflag-ground "$work/fs"
    mkdir "$work/fs/"{lower,upper,scratch,root}
    echo low >"$work/fs/lower/file"
    mount -t overlay -o "lowerdir=$work/fs/lower,upperdir=$work/fs/upper,workdir=$work/fs/scratch" \
        patchflag-ground "$work/fs/root"
    echo high >"$work/fs/root/file"
    [ "$(cat "$work/fs/lower/file")" = low ]
    umount "$work/fs/root"
}

network_namespace() {
    ip netns add "$netns"
    ip -n "$netns" link set lo up
    ip netns exec "$netns" ip link add pfg0 type bridge
    ip netns exec "$netns" ip link add pfg1 type veth peer name pfg2
    ip netns del "$netns"
}

booted_container() {
    # A root of one static program: its init boots, in namespaces of its own, and the exit code of a power off comes back.
    mkdir -p "$work/fs/guest"/{bin,dev,proc,sys,etc,run,tmp,usr,var/tmp}
    cp /bin/busybox "$work/fs/guest/bin/"
    ln -s busybox "$work/fs/guest/bin/sh"
    printf 'ID=ground\n' >"$work/fs/guest/etc/os-release"
    printf '#!/bin/sh\n[ $$ = 1 ] && exit 42\n' >"$work/fs/guest/bin/init"
    chmod +x "$work/fs/guest/bin/init"
    local code=0
    systemd-nspawn -q -D "$work/fs/guest" --register=no --keep-unit --private-network --link-journal=no \
        --resolv-conf=off --timezone=off --machine="ground$$" --console=read-only /bin/init || code=$?
    [ "$code" = 42 ]
    code=0
    unshare --fork --pid --mount --uts --ipc --net --kill-child \
        sh -c "mount --make-rprivate / && exec chroot $work/fs/guest /bin/init" || code=$?
    [ "$code" = 42 ]
}

traced_kill() {
    local code=0
    strace -f -o "$work/trace" -e inject=rename,renameat,renameat2:signal=KILL:when=1 \
        mv "$work/hello.rs" "$work/moved.rs" || code=$?
    [ "$code" = 137 ]
    grep -q 'killed by SIGKILL' "$work/trace"
}

prove "static musl target" static_binary
prove "the package archive" apt_archive
prove "python virtual environments" pip_venv
prove "tmpfs and overlay mounts" overlay_mount
prove "network namespaces, bridge, veth" network_namespace
prove "containers with an init of their own" booted_container
prove "strace with injected kills" traced_kill
printf '%d passed, 0 failed\n' "$passed"
