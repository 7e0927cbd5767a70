#!/bin/sh
# Stands in for sudo(8) where it is not installed, as 1.0.5 calls it: sudo -n -E -u USER COMMAND...
user=$4
shift 4
unset PWD
exec /usr/bin/setpriv --reuid "$user" --regid "$user" --init-groups -- "$@"
