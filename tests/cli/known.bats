# No output goes over an input: what the fault matrix, which asks the tools for their options, cannot
# know, namely files that a tool finds by itself, and names of what is inside a file.
load ../helper

# lost FILE COMMAND...: refused for FILE, which stays as it is.
lost() {
    local file=$1 before after
    shift
    before=$(cksum <"$file")
    fails 2 "$@"
    says 'is also an input'
    after=$(cksum <"$file")
    [ "$before" = "$after" ]
}

@test "the files of an MTX directory" {
    need mtx-read mtx-write
    prepared gex.cms
    mtx-write -o d gex.cms
    ln d/features.tsv.gz hard
    for f in d/matrix.mtx.gz d/features.tsv.gz d/barcodes.tsv.gz d/labels.tsv.gz hard; do
        lost "$f" mtx-read -o "$f" d
        lost "$f" mtx-read --to "GEX=$f" d
        lost "$f" mtx-read -o "$f" d/matrix.mtx.gz
    done
    lost d/matrix.mtx.gz bash -c 'exec -a mtx-read mtx-read d >>d/matrix.mtx.gz'
    mtx-read -o d/x.cms d # beside them is no harm
}

@test "an input inside a directory that is replaced" {
    need mtx-write
    prepared gex.cms
    mkdir d
    cp gex.cms d/matrix.mtx
    lost d/matrix.mtx mtx-write -o d d/matrix.mtx
    ln -s d link
    lost d/matrix.mtx bash -c 'exec -a mtx-write mtx-write -o link <d/matrix.mtx'
    lost d/matrix.mtx mtx-write -o d/matrix.mtx d/matrix.mtx
}

@test "FILE/MODALITY is FILE" {
    need h5-read h5-write
    prepared gex.h5ad match.cms
    cp gex.h5ad x.h5mu
    lost x.h5mu h5-read -o x.h5mu x.h5mu/rna
    lost x.h5mu h5-read -o x.h5mu x.h5mu/mod/rna
    lost x.h5mu h5-read --to GEX=x.h5mu x.h5mu/rna
    lost x.h5mu h5-write -o x.h5mu --key k --into x.h5mu/rna match.cms
}

@test "a checkpoint may take the place of the one it began from, and nothing else may" {
    need xattn-train
    prepared pairs.cms model.cms
    cp model.cms m.cms
    xattn-train -q --mlp-hidden 4 --checkpoint c.cms --every 4 -o x.cms pairs.cms
    ln -s c.cms link.cms
    xattn-train -q --resume c.cms --checkpoint link.cms -o y.cms pairs.cms
    cms-diff --tolerance 0 x.cms y.cms
    [ -L link.cms ]
    lost c.cms xattn-train --resume c.cms -o link.cms pairs.cms
    lost c.cms xattn-train --resume c.cms --log c.cms -o y.cms pairs.cms
    lost m.cms xattn-train --init m.cms --checkpoint m.cms -o y.cms pairs.cms
    fails 2 xattn-train --checkpoint y.cms -o ./y.cms pairs.cms
    says "two outputs go to"
}

@test "another's file in a directory like /tmp cannot be replaced, and that is reported at the start" {
    need tfidf setpriv
    [ "$(id -u)" = 0 ] || skip "needs two users"
    nobody() { setpriv --reuid=65534 --clear-groups "$@"; }
    nobody test -x "$(command -v tfidf)" || skip "the tools are in a closed directory"
    open=$(mktemp -d /tmp/cellmatch-test.XXXXXX)
    chmod 1777 "$open"
    echo theirs >"$open/x"
    chmod 666 "$open/x"
    got=0
    (cd / && nobody tfidf -o "$open/x" no-such-file) 2>err || got=$?
    kept=$(cat "$open/x")
    rm -r "$open"
    [ "$got" = 4 ] && [ "$kept" = theirs ]
    grep -q "tfidf: error: cannot create '$open/x': Operation not permitted" err
}
