# One system call of h5-read or h5-write fails, each in turn: the same result as ever, or an error.
load ../helper

setup() {
    scratch
    [ "$MODE" = release ] || [ "$MODE" = cov ] || skip "nothing can be preloaded in a sanitizer build"
    so=$BUILD/tests/faults/iofault.so
    prepared gex.cms gex.h5ad e.cms match.cms
    cms-cat --rows 0:40 -o few.cms gex.cms
    h5-write -o few.h5ad few.cms
}

# each CALL ERRNO STEP OUT COMMAND...: lets call 1, 1 + STEP, ... fail until there is none.  Status 0
# needs the bytes of OUT.good; 4 (3 and 4 where $also is set) one line, no output and no temporary
# file.  The number of failures is left in $failed, the calls tried in $tried.
each() {
    local call=$1 number=$2 step=$3 out=$4 k status
    shift 4
    tried=0 failed=0
    for ((k = 1; k < 5000; k += step)); do
        rm -f mark "$out"
        status=0
        LD_PRELOAD=$so IOFAULT="$call $k $number" IOFAULT_MARK=$PWD/mark "$@" >said 2>err || status=$?
        [ -e mark ] || return 0
        tried=$((tried + 1))
        if [ $status = 0 ]; then
            cmp -s "$out" "$out.good"
        else
            failed=$((failed + 1))
            { [ $status = 4 ] || [[ " ${also:-} " == *" $status "* ]]; } &&
                [ "$(grep -c ': error: ' err)" = 1 ] && [ ! -e "$out" ] &&
                [ -z "$(find . -maxdepth 1 -name '.*.tmp.*')" ]
        fi || { echo "$call $k fails with $number: status $status, $(cat err)"; ls -A; return 1; }
    done
    echo "no end: $call $k"
    return 1
}

@test "h5-read: a read that fails is an error, never an absence" {
    h5-read -q --no-provenance -t 1 -o out.cms few.h5ad
    mv out.cms out.cms.good
    each read 5 1 out.cms h5-read --no-provenance -t 1 -o out.cms few.h5ad
    [ $tried -gt 40 ] && [ $failed -gt 40 ]
    each read 0 3 out.cms h5-read --no-provenance -t 1 -o out.cms few.h5ad # a short one is none
    [ $tried -gt 10 ] && [ $failed = 0 ]
}

@test "h5-read: a file that cannot be opened or listed is status 4" {
    h5-read -q --no-provenance -t 1 -o out.cms few.h5ad
    mv out.cms out.cms.good
    each open 24 1 out.cms h5-read --no-provenance -t 1 -o out.cms few.h5ad
    [ $failed -gt 1 ]
    h5-read --list few.h5ad >list.good
    each read 5 3 list sh -c 'h5-read --list few.h5ad >list || { s=$?; rm list; exit $s; }'
    [ $failed -gt 10 ]
}

@test "h5-write: a write that fails is an error, whatever HDF5 makes of it" {
    h5-write -o out.h5ad few.cms
    mv out.h5ad out.h5ad.good
    each write 28 1 out.h5ad h5-write -o out.h5ad few.cms
    [ $tried -gt 10 ] && [ $failed = $tried ]
    each write 0 2 out.h5ad h5-write -o out.h5ad few.cms
    [ $tried -gt 5 ] && [ $failed = 0 ]
}

@test "h5-write: close and open that fail are errors" {
    h5-write -o out.h5ad few.cms
    mv out.h5ad out.h5ad.good
    each close 5 1 out.h5ad h5-write -o out.h5ad few.cms
    each open 24 1 out.h5ad h5-write -o out.h5ad few.cms
    [ $failed -gt 0 ]
}

@test "h5-write --into: the same of a copy, of what is read and of what is written" {
    local what
    for what in e match; do
        h5-write --into gex.h5ad --key k -o out.h5ad $what.cms
        mv out.h5ad out.h5ad.good
        each write 28 2 out.h5ad h5-write --into gex.h5ad --key k -o out.h5ad $what.cms
        [ $tried -gt 5 ] && [ $failed = $tried ]
        each read 5 3 out.h5ad h5-write --into gex.h5ad --key k -o out.h5ad $what.cms
        [ $failed -gt 5 ]
    done
}

@test "cms-cat, cms-text: a close or an fsync that fails is an error" {
    cms-cat --no-provenance -t 1 -o out.cms few.cms
    mv out.cms out.cms.good
    each fsync 5 1 out.cms cms-cat --no-provenance -t 1 -o out.cms few.cms
    [ $tried = 1 ] && [ $failed = 1 ]
    each close 5 1 out.cms cms-cat --no-provenance -t 1 -o out.cms few.cms
    [ $failed -gt 0 ]
    cms-text -o out.tsv few.cms
    mv out.tsv out.tsv.good
    each close 5 1 out.tsv cms-text -o out.tsv few.cms
    [ $failed -gt 0 ]
}
