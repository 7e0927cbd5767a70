# shellcheck shell=sh
# Read by every script of a run, with @HERE@ and @STATE@ filled in: it leaves what it was started with, and says two lines.
# A record is words, each ended by a NUL: their number, $0 and the arguments, the state, the environment, an empty word.
record() {
    state=-
    if [ -e '@STATE@' ]; then state=; IFS= read -r state <'@STATE@' || :; fi
    { printf '%s\0' "$#" "$@" "$state"; /bin/cat "/proc/$$/environ"; printf '\0'; } >>'@HERE@/record'
}
late() { record "$0:late"; }
# Bounded, so that what outlives its test ends as well.
at() {
    : >"@HERE@/at-$1"
    tries=0
    until [ -e "@HERE@/go-$1" ] || [ "$tries" = 500 ]; do /bin/sleep 0.02; tries=$((tries + 1)); done
}
first() { [ ! -e "@HERE@/again" ] && : >"@HERE@/again"; }
record "$0" "$@"
folder=${0%/*}
echo "said ${folder##*/}/${0##*/}"
echo "told ${folder##*/}/${0##*/}" >&2
