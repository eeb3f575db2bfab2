#!/bin/sh
# What the Makefile's set-up targets do.
#
#   scripts/setup.sh run     .venv with Longwave in it, editable
#   scripts/setup.sh test    the same with the extra "dev"
#   scripts/setup.sh tools   the programs that tests need and Python's index does not have
#
# pip and apt-get are used as this machine has them configured. Nothing here reads from the terminal.
set -eu

cd -P "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3}
VENV=.venv

say() { echo "longwave: $*"; }
fail() { echo "longwave: $*" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }
runs() { has "$1" && "$1" --version >/dev/null 2>&1; } # Ubuntu's chromium is a script that asks for a snap
may_install() { [ "$(id -u)" = 0 ] && has apt-get; }

apt_install() {
    # The last two: nginx is wanted as a program, not as a service that listens on port 80.
    export DEBIAN_FRONTEND=noninteractive SYSTEMD_OFFLINE=1 RUNLEVEL=1
    apt-get -qq -o DPkg::Lock::Timeout=600 update </dev/null &&
        apt-get -qq -o DPkg::Lock::Timeout=600 install -y --no-install-recommends "$@" </dev/null >/dev/null
}

check_python() {
    has "$PYTHON" || fail "$PYTHON was not found. Longwave needs Python 3.11 or newer; name yours with PYTHON=..."
    "$PYTHON" -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        fail "Longwave needs Python 3.11 or newer, and $PYTHON is $("$PYTHON" -V 2>&1); name another with PYTHON=..."
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null && return
    # Debian and Ubuntu keep both in a package of their own.
    may_install || fail "$PYTHON cannot make virtual environments; as root: apt-get install python3-venv"
    say "installing python3-venv"
    apt_install python3-venv || fail "apt-get could not install python3-venv"
    "$PYTHON" -c 'import venv, ensurepip' 2>/dev/null ||
        fail "$PYTHON cannot make virtual environments even with python3-venv; name another with PYTHON=..."
}

make_venv() {
    # One that was begun and not finished, or copied from another folder, is made anew.
    grep -qF "$PWD/$VENV" $VENV/bin/activate 2>/dev/null && $VENV/bin/python -m pip --version >/dev/null 2>&1 && return
    check_python
    say "making $VENV with $("$PYTHON" -V 2>&1)"
    "$PYTHON" -m venv --clear $VENV
}

install_package() { # a requirement, and words for what it adds
    say "installing Longwave into $VENV${2:+ $2}"
    $VENV/bin/python -m pip install -q -e "$1" || fail "pip could not install $1; its message stands above"
}

install_tools() {
    missing= packages=
    runs chromium || runs chromium-browser || runs google-chrome || { missing="$missing Chromium" packages="$packages chromium"; }
    has gcc || has cc || { missing="$missing gcc" packages="$packages gcc libc6-dev"; }
    has curl || { missing="$missing curl" packages="$packages curl"; }
    has strace || { missing="$missing strace" packages="$packages strace"; }
    has nginx || [ -x /usr/sbin/nginx ] || { missing="$missing nginx" packages="$packages nginx"; }
    has node || { missing="$missing Node.js" packages="$packages nodejs"; }
    [ -n "$missing" ] || return 0
    if may_install; then
        say "installing$packages"
        # shellcheck disable=SC2086
        apt_install $packages && return
        say "apt-get could not install$packages"
    fi
    say "the tests that need$missing will be skipped; as root: apt-get install$packages"
}

install_npm_package() { # beside what `make calibrate` installs; a few hundred kilobytes, without dependencies
    folder=$VENV/calibration
    if [ -d "$folder/node_modules/${1%@*}" ]; then return; fi
    if has npm && mkdir -p "$folder" && say "installing $1 from npm" &&
        npm install --silent --no-audit --no-fund --fetch-retries=1 --prefix "$folder" "$1" </dev/null; then return; fi
    say "the tests that need npm's ${1%@*} will be skipped; with npm there: make tools"
}

case ${1:-} in
    run)
        make_venv
        install_package .
        touch $VENV/.setup-run ;;
    test)
        make_venv
        install_package '.[dev]' "with what its tests need"
        touch $VENV/.setup-test ;;
    tools)
        install_tools
        install_npm_package ws@8.23.0 ;;
    *) fail "usage: scripts/setup.sh run|test|tools" ;;
esac
