#!/bin/sh
# Installs the Debian packages given as arguments that are missing, and nothing when none is.
# Asks dpkg first, so that a machine which has everything needs neither root nor a network.  What was
# installed is reported at the end: packages (with those they need), megabytes on disk, seconds.
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
installed() { dpkg-query -W -f '${Installed-Size}\n' | awk '{ n++; k += $1 } END { print n, k }'; }
before=$(installed)
began=$(date +%s)
# shellcheck disable=SC2086 # names of packages are words
$run env DEBIAN_FRONTEND=noninteractive sh -c "
    apt-get update -q && apt-get install -y -q --no-install-recommends $missing"
echo "$before $(installed) $(($(date +%s) - began))" | awk '{
    printf "make deps: %d packages installed, %.0f MB, %d seconds\n", $3 - $1, ($4 - $2) * 1.024e-3, $5 }'
