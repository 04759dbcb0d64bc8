# Files that were damaged, at random or on purpose: h5-read ends with 0 or 3, soon, with one line.
load ../helper

setup() {
    scratch
    zstd -dqc "$REF/formats.tar.zst" | tar -xf -
    export TMPDIR=$PWD
}

# The sanitizers find what libhdf5 does to its own memory; that is not ours to repair.
foreign_report() {
    [ "$MODE" != release ] || return 1
    awk '/^ +#[0-9]+ 0x/ && !/interceptor|asan_|__sanitizer|libasan/ { print; exit }' err | grep -q libhdf5
}

# mutants FIRST LAST FILE...: every mutant of every file; counts are left in $done and $refused.
mutants() {
    local first=$1 last=$2 f seed status how
    shift 2
    done=0 refused=0
    for f; do
        case $f in
        tenx3.h5) how=(--type GEX mutant) ;;
        tenx2.h5) how=(--genome hg19 mutant) ;;
        two.h5mu) how=(mutant/rna) ;;
        prediction.h5ad) how=(--match mutant) ;;
        *) how=(mutant) ;;
        esac
        for ((seed = first; seed <= last; seed++)); do
            "$BUILD/tests/faults/h5mutate" "$f" "$seed" >mutant
            status=0
            timeout -k 5 60 h5-read -q --no-provenance -o out.cms "${how[@]}" 2>err || status=$?
            if [ "$status" = 0 ]; then
                [ ! -s err ] && [ -e out.cms ]
            elif ! foreign_report; then
                [ "$status" = 3 ] && [ ! -e out.cms ] && [ "$(grep -c 'h5-read: error: ' err)" = 1 ]
                refused=$((refused + 1))
            fi || { echo "$f, seed $seed: status $status, $(cat err)"; ls -A; return 1; }
            rm -f out.cms
            done=$((done + 1))
            [ -z "$(find . -maxdepth 1 -name '.*.tmp.*')" ] || { ls -A; return 1; }
        done
    done
}

@test "h5-read: mutants of every layout end with 0 or 3 and one line" {
    mutants 1 15 v05.h5ad v07.h5ad v13.h5ad odd.h5ad zstd.h5ad loop.h5ad prediction.h5ad \
        tenx2.h5 tenx3.h5 two.h5mu same-gzip.h5ad same-gzip-csc.h5ad same-shuffle.h5ad \
        same-lzf.h5ad same-szip.h5ad same-names-text.h5ad full-gzip.h5ad full-tile.h5ad \
        missing.h5ad same-data-f8.h5ad
    echo "$done files, $refused refused"
    [ $done = 300 ] && [ $refused -gt 60 ] && [ $refused -lt 300 ] # wounds that hurt, or do not
}

@test "h5-read: many more mutants" {
    need_long
    mutants 100 250 v05.h5ad v07.h5ad v13.h5ad odd.h5ad tenx2.h5 tenx3.h5 two.h5mu same-gzip.h5ad \
        same-szip.h5ad full-gzip.h5ad
}
