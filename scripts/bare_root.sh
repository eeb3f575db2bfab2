#!/bin/bash
# Proves the two commands on a machine that has Python, venv and make and nothing else.
#
#   scripts/bare_root.sh DIR [--worktree] [--shell COMMAND]
#
# Makes a Debian 12 root in DIR/root (debootstrap, minbase, plus python3 python3-venv make), puts a clone of
# this repository's HEAD into it, and times `make run` (until http://localhost:3000 answers), `make test`, and
# both once more. DIR keeps the packed base (base.tar) and Debian's package files, so that another run starts
# at once; DIR/root itself is new each time. Output of every step is in DIR/logs. Run it as root.
#
#   --worktree        take the files as they are now, committed or not (ignored files stay out)
#   --shell COMMAND   run COMMAND in the new root, in the clone, instead of the two commands
#
# Nothing of this machine is written into the repository: how to reach package registries (apt sources and
# proxies, pip's configuration, certificates) is copied from the host into the root when the script runs.
set -euo pipefail

SUITE=bookworm
INCLUDE=python3,python3-venv,make
URL=http://localhost:3000

fail() { echo "bare_root: $*" >&2; exit 1; }

HERE=$(cd "$(dirname "$0")/.." && pwd)
[ $# -ge 1 ] || { sed -n '2,15s/^# \{0,1\}//p' "$0"; exit 2; }
[ "$(id -u)" = 0 ] || fail "needs root: debootstrap, chroot and mount are root's"
command -v debootstrap >/dev/null || fail "needs debootstrap: apt-get install debootstrap"

# Mounts and processes of the root live in namespaces of their own: however this script ends, the kernel
# takes both away. A trap could be skipped by a kill, and would leave /dev bound under a folder to delete.
if [ -z "${BARE_ROOT_INSIDE:-}" ]; then
    BARE_ROOT_INSIDE=1 exec unshare --mount --propagation private --pid --fork --kill-child --mount-proc -- "$0" "$@"
fi
trap 'exit 130' INT TERM # as process 1 of its namespace it would ignore both

mkdir -p "$1"
DIR=$(cd "$1" && pwd); shift
ROOT=$DIR/root LOGS=$DIR/logs SOURCE=head COMMAND=
while [ $# -gt 0 ]; do
    case $1 in
        --worktree) SOURCE=worktree ;;
        --shell) COMMAND=${2:?--shell wants a command}; shift ;;
        *) fail "unknown argument: $1" ;;
    esac
    shift
done
mkdir -p "$LOGS" "$DIR/debs/partial"

host_mirror() {
    # The first Debian archive of the host's apt sources, in the old one-line or the deb822 form.
    cat /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
        sed -nE 's/^deb +(\[[^]]*\] +)?([a-z]+:[^ ]+) .*/\2/p; s/^URIs: *([^ ]+).*/\1/p' |
        grep -E '/debian/?$' | head -n 1 || true
}

make_base() {
    [ -s "$DIR/base.tar" ] && return
    echo "bare_root: debootstrap $SUITE (once; kept as $DIR/base.tar)"
    rm -rf "$DIR/base"
    debootstrap --variant=minbase --include="$INCLUDE" "$SUITE" "$DIR/base" "$(host_mirror)" \
        >"$LOGS/debootstrap.log" 2>&1 || { tail -n 20 "$LOGS/debootstrap.log"; fail "debootstrap failed"; }
    tar -C "$DIR/base" --exclude=./var/cache/apt/archives/*.deb -cf "$DIR/base.tar.new" .
    mv "$DIR/base.tar.new" "$DIR/base.tar"
    rm -rf "$DIR/base"
}

copy_in() { # a host file to the same place in the root
    [ -e "$1" ] || return 0
    mkdir -p "$ROOT$(dirname "$1")"
    rm -rf "$ROOT$1"
    cp -rL "$1" "$ROOT$1"
}

copy_host_configuration() {
    copy_in /etc/resolv.conf
    copy_in /etc/hosts
    copy_in /etc/pip.conf
    local list
    rm -f "$ROOT/etc/apt/sources.list"
    for list in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
        copy_in "$list"
    done
    # Signed-By of those sources, and what apt was told about fetching (proxies, date checks), without its hooks.
    for list in /usr/share/keyrings/*.gpg /etc/apt/keyrings/* /etc/apt/trusted.gpg.d/*; do
        copy_in "$list"
    done
    apt-config dump | grep '^Acquire::' >"$ROOT/etc/apt/apt.conf.d/99host" || true
    # pip brings its own certificates; a host behind a proxy of its own names its bundle in these.
    local name
    for name in PIP_CERT SSL_CERT_FILE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS; do
        [ -f "${!name:-}" ] && copy_in "${!name}"
    done
    name=$(sed -nE 's/^ *cert *= *//p' /etc/pip.conf 2>/dev/null | head -n 1 || true)
    [ -f "$name" ] && copy_in "$name"
    return 0
}

make_root() {
    rm -rf --one-file-system "$ROOT"
    mkdir -p "$ROOT"
    tar -C "$ROOT" -xf "$DIR/base.tar"
    copy_host_configuration
    if [ "$SOURCE" = head ]; then
        git clone --quiet --no-hardlinks "$HERE" "$ROOT/clone"
    else
        mkdir "$ROOT/clone"
        git -C "$HERE" ls-files -z --cached --others --exclude-standard |
            (cd "$HERE" && while IFS= read -r -d '' file; do [ -e "$file" ] && printf '%s\0' "$file"; done) |
            tar -C "$HERE" --null --no-recursion -T - -cf - | tar -C "$ROOT/clone" -xf -
    fi
    mkdir -p "$ROOT/var/cache/apt/archives"
    mount -t proc proc "$ROOT/proc"
    mount --bind /dev "$ROOT/dev"
    mount --bind /dev/pts "$ROOT/dev/pts"
    mount -t tmpfs tmpfs "$ROOT/dev/shm"
    mount --bind "$DIR/debs" "$ROOT/var/cache/apt/archives"
}

inside() { # a command in the clone, with an environment as a fresh login has it, plus the way to the registries
    local name
    local -a passed=()
    while IFS= read -r name; do
        passed+=("$name=${!name}")
    done < <(compgen -e | grep -iE '^(PIP_.*|https?_proxy|ftp_proxy|all_proxy|no_proxy)$' || true)
    for name in SSL_CERT_FILE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS; do
        [ -f "${!name:-}" ] && passed+=("$name=${!name}")
    done
    env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 TERM=dumb "${passed[@]}" \
        chroot "$ROOT" /bin/sh -c 'cd /clone && exec "$@"' sh "$@"
}

answers() {
    inside python3 -c "
import sys, urllib.request
try:
    page = urllib.request.urlopen('$URL', timeout=2).read()
except OSError:
    sys.exit(1)
sys.exit(0 if b'<title>' in page else 'the page at $URL has no title')"
}

seconds() { awk -v a="$1" -v b="$(date +%s.%N)" 'BEGIN { printf "%.1f", b - a }'; }

TIMES=()

time_run() { # make run, until the page is there; then Ctrl-C
    local start pid log=$LOGS/run-$1.log
    answers && fail "something else already answers at $URL"
    start=$(date +%s.%N)
    set -m # a process group of its own, as a terminal would give it, and SIGINT not ignored
    inside make run </dev/null >"$log" 2>&1 &
    pid=$!
    set +m
    until answers; do
        kill -0 "$pid" 2>/dev/null || { tail -n 40 "$log"; fail "make run ended before $URL answered"; }
        [ "$(printf '%.0f' "$(seconds "$start")")" -lt 600 ] || { tail -n 40 "$log"; fail "no answer in 600 s"; }
        sleep 0.1
    done
    TIMES+=("make run, $1 time: $URL answered after $(seconds "$start") s")
    echo "bare_root: ${TIMES[-1]}"
    start=$(date +%s.%N)
    kill -INT -- "-$pid"
    wait "$pid" || true
    answers && fail "the server still answers after Ctrl-C"
    echo "bare_root: stopped in $(seconds "$start") s"
}

time_test() {
    local start log=$LOGS/test-$1.log
    start=$(date +%s.%N)
    inside make test </dev/null >"$log" 2>&1 || { tail -n 60 "$log"; fail "make test failed"; }
    TIMES+=("make test, $1 time: $(seconds "$start") s: $(tail -n 1 "$log")")
    echo "bare_root: ${TIMES[-1]}"
}

main() { # bash reads a script as it goes: in a function, an edit meanwhile does no harm
    make_base
    make_root
    if [ -n "$COMMAND" ]; then
        inside sh -c "$COMMAND"
        exit
    fi
    time_run first
    time_test first
    time_run second
    time_test second
    echo
    echo "Debian $(cat "$ROOT/etc/debian_version"), $(inside python3 --version), $(nproc) cores, $(date +%F)"
    printf '%s\n' "${TIMES[@]}"
    exit
}

main
