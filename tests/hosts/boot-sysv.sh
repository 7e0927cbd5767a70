#!/bin/sh
# Becomes the sysvinit of a root: boot-sysv.sh ROOT NAME CMDLINE-FILE [ARGUMENT-OF-INIT…]
#
# Started in fresh mount, PID, UTS, IPC, cgroup and network namespaces with the console on stdin. Gives the root what a
# kernel gives: /proc, /sys, /dev, a console, a boot identity, a command line; then turns into init.
set -eu
root=$1 name=$2 cmdline=$3
shift 3

hostname "$name"
ip link set lo up
cd "$root"

mount -t proc -o nosuid,noexec,nodev proc proc
boot_id=$(cat proc/sys/kernel/random/uuid)
# What belongs to the machine's kernel can be read, not set: a guest's sysctl must not reach it.
mount --bind proc/sys proc/sys
mount --bind proc/sys/net proc/sys/net
mount -o remount,bind,ro proc/sys
if [ -e proc/sysrq-trigger ]; then
    mount --bind proc/sysrq-trigger proc/sysrq-trigger
    mount -o remount,bind,ro proc/sysrq-trigger
fi
mount --bind "$cmdline" proc/cmdline
mount -t sysfs -o ro,nosuid,noexec,nodev sysfs sys

mount -t tmpfs -o mode=755,nosuid dev dev
mkdir dev/pts dev/shm
for node in null,1,3 zero,1,5 full,1,7 random,1,8 urandom,1,9 tty,5,0; do
    IFS=, read -r file major minor <<NODE
$node
NODE
    mknod -m 666 "dev/$file" c "$major" "$minor"
done
mount -t devpts -o newinstance,ptmxmode=0666,mode=620,gid=5,nosuid,noexec devpts dev/pts
mount -t tmpfs -o mode=1777,nosuid,nodev shm dev/shm
ln -s pts/ptmx dev/ptmx
ln -s /proc/self/fd dev/fd
ln -s /proc/self/fd/0 dev/stdin
ln -s /proc/self/fd/1 dev/stdout
ln -s /proc/self/fd/2 dev/stderr
: >dev/console
mount --bind "$(readlink /proc/self/fd/0)" dev/console

# A reboot leaves the machine's boot identity as it was, a real one does not.
echo "$boot_id" >dev/.boot_id
mount --bind dev/.boot_id proc/sys/kernel/random/boot_id

mkdir -p mnt
pivot_root . mnt
exec chroot . /bin/sh -c 'umount -l /mnt; rm /dev/.boot_id; exec "$@"' sh \
    env -i PATH=/sbin:/usr/sbin:/bin:/usr/bin TERM=dumb \
    setpriv --bounding-set -sys_module,-sys_time,-sys_rawio,-syslog,-mknod,-wake_alarm,-block_suspend /sbin/init "$@"
