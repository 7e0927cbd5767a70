#!/bin/sh
# Process 1 of a virtual machine's first moments (busybox): finds the disk, mounts it as a host's initrd would, becomes init.
mount -t proc -o nosuid,noexec,nodev proc /proc
mount -t sysfs -o nosuid,noexec,nodev sysfs /sys
mount -t devtmpfs -o nosuid,mode=755 dev /dev
modprobe -a virtio_pci virtio_blk virtio_console

options=ro
read -r words </proc/cmdline
for word in $words; do
    case $word in rootflags=*) options=$options,${word#rootflags=} ;; esac
done

tries=0
until [ -b /dev/vda ] || [ "$tries" = 100 ]; do
    tries=$((tries + 1))
    usleep 50000
done
if ! mount -t ext4 -o "$options" /dev/vda /root; then
    echo "vm: cannot mount the disk with $options"
    poweroff -f
fi

mkdir -p /dev/.agent
for place in dev proc sys; do
    mount -o move "/$place" "/root/$place"
done
exec switch_root /root /sbin/init "$@"
