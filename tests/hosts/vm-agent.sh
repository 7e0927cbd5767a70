#!/usr/local/lib/vm/busybox sh
# shellcheck shell=dash
# The laboratory's ear and hand inside a virtual machine. Kept running by its init at every level but shutdown.
#
# Says `hello BOOT_ID`, then reads requests from a virtio port, one a line: ID SCRIPT STDIN SECONDS, script and standard
# input in base64, `-` for nothing. Each is run at once beside the others, and answered by one line: ID CODE OUT ERR.
# One static program, for in an emulator it is dynamic linking that takes the time.
set -u
place=/dev/.agent/requests
bb=/usr/local/lib/vm/busybox
rm -rf "$place"
mkdir -p "$place"
exec 3<>/dev/vport0p1

as_line() { if [ -s "$1" ]; then "$bb" base64 -w 0 "$1"; else printf -- -; fi; }

as_file() { if [ "$1" != - ]; then printf %s "$1" | "$bb" base64 -d; fi >"$2"; }

answer() {
    here=$place/$1
    "$bb" mkdir "$here"
    as_file "$2" "$here/script"
    as_file "$3" "$here/in"
    "$bb" timeout -s KILL "$4" /bin/sh "$here/script" <"$here/in" >"$here/out" 2>"$here/err" 3>&-
    code=$?
    out=$(as_line "$here/out")
    err=$(as_line "$here/err")
    until "$bb" mkdir "$place/turn" 2>/dev/null; do "$bb" usleep 20000; done
    printf '%s %s %s %s\n' "$1" "$code" "$out" "$err" >&3
    "$bb" rm -r "$place/turn" "$here"
}

# What a test wants to have running at every level beside it.
beside=/usr/local/lib/vm/beside
if [ -x "$beside" ]; then "$beside" 3>&- & fi

printf '\nhello %s\n' "$(cat /proc/sys/kernel/random/boot_id)" >&3
while read -r id script input seconds <&3; do
    answer "$id" "$script" "$input" "$seconds" &
done
