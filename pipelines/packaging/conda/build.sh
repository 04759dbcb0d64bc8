#!/usr/bin/env bash
# build.sh - run by conda-build in the sources, which gives PREFIX, CC, the flags and CPU_COUNT
set -euo pipefail

# Of these, conda-forge has the libraries, but not always what pkg-config reads.
pc=$SRC_DIR/pkgconfig
mkdir -p "$pc"
export PKG_CONFIG_PATH=$PREFIX/lib/pkgconfig:$PREFIX/share/pkgconfig${PKG_CONFIG_PATH:+:$PKG_CONFIG_PATH}:$pc
knows() { # PACKAGE LIBRARY
    pkg-config --exists "$1" && return
    printf '%s\n' "Name: $1" "Description: $1" 'Version: 0' "Cflags: -I$PREFIX/include" "Libs: -L$PREFIX/lib -l$2" >"$pc/$1.pc"
}
pkg-config --exists hdf5-serial || knows hdf5 hdf5
knows libisal isal
knows liblzf lzf
knows openblas openblas

# Random123 is headers alone.
export CPPFLAGS="${CPPFLAGS:-} -isystem $SRC_DIR/random123/include"
make -j"${CPU_COUNT:-1}" V=1 all
make install prefix="$PREFIX"
