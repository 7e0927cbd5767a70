#!/bin/sh
# Builds one root and prints nothing: build-root.sh DRAFT BASE DEBS CUSTOMIZE…
#
# DRAFT is a folder for the work and the finished DRAFT/root.tar.zst. BASE is a root's tarball to start from, or
# `-` for a new minimal one by debootstrap (URI, SUITE, KEYRING and CACHE from the environment). DEBS is a folder of packages
# to install, or `-`. Runs in mount and PID namespaces of its own: killed in the middle it leaves nothing mounted.
set -eu
draft=$1 base=$2 debs=$3 customize=$4

mkdir -p "$draft/work"
mount -t tmpfs -o mode=755 patchflag-root "$draft/work"
root=$draft/work/root
mkdir "$root"

if [ "$base" = - ]; then
    debootstrap --variant=minbase --components=main --keyring="$KEYRING" --cache-dir="$CACHE" "$SUITE" "$root" "$URI"
else
    tar --extract --zstd --preserve-permissions --numeric-owner --file="$base" --directory="$root"
fi

if [ "$debs" != - ]; then
    mount -t proc proc "$root/proc"
    mkdir "$root/debs"
    mount --bind "$debs" "$root/debs"
    # No daemon is started by the installation of its package, neither here nor in the build's namespaces.
    printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
    chmod 755 "$root/usr/sbin/policy-rc.d"
    : >"$root/etc/apt/sources.list"
    unshare --net chroot "$root" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive DEBCONF_NONINTERACTIVE_SEEN=true \
        sh -c 'apt-get install -q -y --no-install-recommends -o Dpkg::Options::=--force-unsafe-io /debs/*.deb'
    rm "$root/usr/sbin/policy-rc.d"
    umount "$root/debs" "$root/proc"
    rmdir "$root/debs"
fi

sh -c "$customize" customize "$root"

tar --create --zstd --numeric-owner --xattrs --xattrs-include='*' --file="$draft/root.tar.zst" --directory="$root" .
