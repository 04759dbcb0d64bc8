#!/bin/sh
# Installs the Debian packages given as arguments that are missing, and nothing when none is.
# Asks dpkg first, so that a machine which has everything needs neither root nor a network.
set -eu
missing=
for p in "$@"; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$p" 2>/dev/null)" = installed ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null; then
    echo "make deps: this system has no apt-get; please install the counterparts of:$missing" >&2
    exit 1
fi
run=
if [ "$(id -u)" != 0 ]; then
    if ! command -v sudo >/dev/null; then
        echo "make deps: needs root or sudo to install:$missing" >&2
        exit 1
    fi
    run=sudo
fi
$run env DEBIAN_FRONTEND=noninteractive sh -c "
    apt-get update -q && apt-get install -y -q --no-install-recommends $missing"
