# Packages built, compared and installed as others would, on systems with nothing else: check-long.
load ../helper

setup() { scratch; }
teardown() {
    # Mounts of a root live in a namespace of their own, and are gone by now.
    [ ! -d store ] || {
        buildah "${at[@]}" rm --all
        buildah "${at[@]}" rmi --all --force
    } >/dev/null 2>&1 || :
    rm -rf --one-file-system build.root run.root base.root base2.root store runstore
}
recipes=$ROOT/pipelines/packaging

# bare NAME: NAME.root, a minimal system of the release that this one is, with its apt sources.
bare() {
    local mirror release
    if [ ! -e base.root ]; then
        [ "$(id -u)" = 0 ] || skip "a bare root needs root"
        need debootstrap unshare chroot
        release=$(sed -n 's/^VERSION_CODENAME=//p' /etc/os-release)
        mirror=$(cat /etc/apt/sources.list /etc/apt/sources.list.d/*.sources 2>/dev/null |
            awk '$1 == "URIs:" { print $2; exit } $1 == "deb" { print $2 ~ /^\[/ ? $3 : $2; exit }')
        debootstrap --variant=minbase "$release" base.root $mirror >debootstrap.log 2>&1 ||
            skip "debootstrap: no bare root of '$release' ($(tail -n 1 debootstrap.log | cut -c1-60))"
        rm -f base.root/etc/apt/sources.list
        cp -a /etc/apt/. base.root/etc/apt/
        cp -L /etc/resolv.conf /etc/hosts base.root/etc/
        [ ! -d /usr/local/share/ca-certificates ] || cp -a /etc/ssl/certs base.root/etc/ssl/
    fi
    cp -a --reflink=auto base.root "$1.root"
}
# inside NAME COMMAND...
inside() {
    local name=$1
    shift
    unshare --mount -- bash -c 'mount --make-rprivate / && mount -t proc proc "$0/proc" && mount --rbind /dev "$0/dev" &&
        exec chroot "$0" /usr/bin/env -i HOME=/root TERM=dumb DEBIAN_FRONTEND=noninteractive \
            PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"' "$PWD/$name.root" "$@" </dev/null
}
said() { "$@" >said.log 2>&1 || { tail -n 40 said.log; return 1; }; } # COMMAND...: its end where it fails
tree() { # DIR: the sources as a release has them, with what is changed
    mkdir -p "$1"
    if [ -e "$ROOT/.git" ]; then
        (cd "$ROOT" && git ls-files -z | tar -c --null -T -) | tar -x -C "$1" --no-same-owner
    else
        (cd "$ROOT" && tar -c --exclude=./build .) | tar -x -C "$1" --no-same-owner
    fi
}

@test "Debian package: built twice on a bare system to the same bytes, without a word of lintian; installed on another" {
    need_long
    bare build
    tree build.root/src
    said inside build sh -c 'apt-get update -q && apt-get install -y -q --no-install-recommends dpkg-dev debhelper lintian'
    # Its own list of what the build needs, and nothing else.
    said inside build sh -c 'cd /src && cp -R pipelines/packaging/debian debian && apt-get build-dep -y -q --no-install-recommends ./ && rm -r debian'
    said inside build sh -c 'useradd -m builder && chown -R builder: /src && install -d -o builder /one /two'
    said inside build runuser -u builder -- sh -c 'cd /src && pipelines/packaging/build-deb /one'
    grep -E '^[0-9]+ passed, 0 failed' said.log
    said inside build runuser -u builder -- sh -c \
        'umask 077 && mkdir /two/tmp && cd /src && TMPDIR=/two/tmp TZ=Asia/Tokyo DEB_BUILD_OPTIONS=nocheck pipelines/packaging/build-deb /two'
    [ "$(ls build.root/one/*.deb | wc -l)" = 3 ]
    for f in build.root/one/*.deb; do cmp "$f" "build.root/two/${f##*/}"; done
    inside build sh -c 'lintian --allow-root --fail-on error,warning -EI /one/*.changes' >lintian.log 2>&1 || { cat lintian.log; return 1; }
    cat lintian.log
    ! grep -E '^[EW]:' lintian.log || false

    bare run
    cp build.root/one/*.deb run.root/tmp
    cp -R "$recipes/debian/tests" run.root/tests
    # The package at has a batch of its own, and a page of it.
    said inside run sh -c 'rm -f /tmp/*dbgsym* && apt-get update -q && apt-get install -y -q --no-install-recommends at /tmp/cellmatch_*.deb'
    said inside run sh -c '! command -v gcc && ! command -v make && mkdir /tmp/work && cd /tmp/work && AUTOPKGTEST_TMP=/tmp/work sh /tests/pipeline'
    [ "$(inside run sh -c 'command -v batch')" = /usr/bin/batch ]
    said inside run sh -c 'apt-get install -y -q --no-install-recommends /tmp/libcellmatch-dev_*.deb gcc libc6-dev pkg-config && mkdir /tmp/more && AUTOPKGTEST_TMP=/tmp/more sh /tests/library'
    said inside run sh -c 'apt-get purge -y -q cellmatch libcellmatch-dev'
    [ -z "$(find run.root/usr run.root/etc run.root/var/lib -name '*cellmatch*' ! -path '*/apt/*' | grep -v '^run.root/var/lib/dpkg/')" ]
}

@test "image: the Containerfile builds, and what it makes runs as nobody in particular" {
    need_long
    need buildah
    bare base2
    tree context
    export STORAGE_DRIVER=vfs BUILDAH_ISOLATION=chroot
    at=(--root "$PWD/store" --runroot "$PWD/runstore")
    c=$(buildah "${at[@]}" from scratch)
    said buildah "${at[@]}" add "$c" base2.root /
    said buildah "${at[@]}" commit "$c" localhost/bare
    said buildah "${at[@]}" bud --pull-never --build-arg BASE=localhost/bare -t cellmatch -f context/pipelines/packaging/Containerfile context
    c=$(buildah "${at[@]}" from --pull-never localhost/cellmatch)
    [ "$(buildah "${at[@]}" run "$c" -- id -un)" = cellmatch ]
    [ "$(buildah "${at[@]}" run "$c" -- cellmatch --version)" = "$(cellmatch --version)" ]
    buildah "${at[@]}" run "$c" -- sh -c 'cd /data && cms-gen --gex g.cms --atac a.cms --cells 600 &&
        train.sh --preset linear g.cms a.cms m.cms && cellmatch help tfidf | grep -q SYNOPSIS && ! command -v gcc'
}

@test "conda recipe: build.sh works where pkg-config does not know the half of it" {
    need_long
    [ "$MODE" = release ] || skip "once is enough"
    export SRC_DIR=$PWD/src PREFIX=$PWD/env CPU_COUNT=2
    export CC=${CC:-gcc} CFLAGS=-O2 LDFLAGS="-Wl,-rpath,$PWD/env/lib" CPPFLAGS="-DNDEBUG -I$PWD/env/include"
    tree src
    # An environment that holds libraries and headers under plain names, as conda-forge has them.
    mkdir -p env/lib/pkgconfig env/include src/random123/include
    for name in hdf5-serial:hdf5_serial:hdf5 openblas:openblas:openblas liblzf:lzf:lzf libisal:isal:isal; do
        IFS=: read -r package library plain <<<"$name"
        file=$(gcc $(pkg-config --libs-only-L "$package") -print-file-name="lib$library.so")
        ln -s "$(readlink -f "$file")" "env/lib/lib$plain.so"
        for d in $(pkg-config --cflags-only-I "$package" | sed 's/-I//g'); do cp -R "$d"/. env/include; done
    done
    for name in libzstd libxxhash zlib libpng; do ln -s "$(pkg-config --variable=pcfiledir $name)/$name.pc" env/lib/pkgconfig; done
    ln -s /usr/include/Random123 src/random123/include
    said env PKG_CONFIG_LIBDIR=/nowhere bash -c 'cd src && bash pipelines/packaging/conda/build.sh'
    grep -qx "Libs: -L$PREFIX/lib -lhdf5" src/pkgconfig/hdf5.pc
    grep -q -- "-isystem $SRC_DIR/random123/include" said.log
    [ "$(env/bin/cellmatch --version)" = "$(cellmatch --version)" ]
    prepared gex.cms
    env/bin/cellmatch h5-write -o x.h5ad gex.cms
    env/bin/cellmatch h5-read x.h5ad | cms-diff --ignore-names gex.cms -
}
