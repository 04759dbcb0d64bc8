# transfer: votes and expected profiles are NumPy's; nothing is lost in silence.
load ../helper

given() {
    cms-text --from -o match.cms "$REF/transfer.match.txt"
    cms-text --from -o from.cms "$REF/transfer.from.txt"
}
# near WANT GOT: tables of equal texts, numbers within 1e-6.
near() {
    awk -F '\t' '
        function number(t) { return t ~ /^-?[0-9.]+(e[-+]?[0-9]+)?$/ }
        NR == FNR { want[FNR] = $0; n = FNR; next }
        {
            m = split(want[FNR], w, "\t")
            if (m != NF) bad = 1
            for (k = 1; k <= NF; k++) {
                d = number($k) && number(w[k]) ? $k - w[k] : ($k == w[k] ? 0 : 1)
                if (d > 1e-6 || d < -1e-6) { bad = 1; print FNR ": expected " w[k] ", found " $k }
            }
        }
        END { exit bad || FNR != n || n < 40 }' "$1" "$2"
}

@test "labels: the vote, its share and the runner-up are the oracle's" {
    given
    transfer match.cms from.cms >got.tsv 2>err
    near "$REF/transfer.labels.want" got.tsv
    grep -q 'warning: match.cms: 1 of 40 cells have no candidate' err
    # Of equal shares the first by name.
    [ "$(awk -F '\t' '$1 == "a9" { print $2, $3, $4, $5 }' got.tsv)" = 'B cell 0.5 mono 0.5' ]
}

@test "labels: those that are asked for, numbers too; one that is not there is named" {
    given
    transfer -q --labels depth,kind match.cms from.cms >got.tsv
    [ "$(head -n 1 got.tsv | cut -f 2,6)" = "kind	depth" ]
    [ "$(awk -F '\t' '$1 == "a9" { print $6, $7 }' got.tsv)" = '1.5 1' ]
    fails 3 transfer --labels kind,nonsense -o out match.cms from.cms
    says 'no label "nonsense"; labels here: kind, flag, depth'
    [ ! -e out ]
}

@test "values: expected profiles are the oracle's, from a sparse and from a dense stream" {
    given
    transfer -q --values -o v.cms match.cms from.cms
    cms-info --check v.cms
    dense() { cms-text --bare "$1" | awk -F '\t' '{
        for (k = 0; k < 12; k++) v[k] = 0
        for (k = 2; k <= NF; k++) { split($k, e, ":"); v[substr(e[1], 5) + 0] = e[2] }
        for (k = 0; k < 12; k++) printf "%s%s", v[k], k < 11 ? "\t" : "\n" }'; }
    dense v.cms >got
    near "$REF/transfer.values.want" got
    [ "$(cms-info v.cms | awk -F '\t' '$1 == "slot.0.state" { print $2 }')" = lognorm ]
    svd -q -k 3 -o svd.cms from.cms
    transfer -q --values -o d.cms match.cms svd.cms
    [ "$(cms-info d.cms | awk -F '\t' '$1 == "slot.0.encoding" { print $2 }')" = dense ]
    # Of what is linear the expectation is the same on both ways.
    svd -q --like svd.cms -o of.cms v.cms
    cms-diff --tolerance 1e-4 <(cms-text --bare d.cms | grep -v '^a7	' | cms_of) <(cms-text --bare of.cms | grep -v '^a7	' | cms_of)
}
# Bare rows of a dense stream as a stream again.
cms_of() {
    awk -F '\t' 'BEGIN { OFS = "\t" } NR == 1 {
            print "#cms", 1 "\n#head", "kind", "matrix\n#head", "slots", "1\n#head", "slot.0.name", "S\n#head", "slot.0.encoding", "dense"
            print "#head", "slot.0.value", "f32\n#head", "slot.0.state", "unknown\n#head", "slot.0.cols", NF - 1 "\n#head", "labels", "0\n#cols", 0, "name"
            for (k = 2; k <= NF; k++) print "#cols", 0, "c" k }
        { print } END { print "#end" }' | cms-text --from
}

@test "values of counts are no counts; rows and labels are the match's" {
    prepared match.cms gex.cms atac.cms
    transfer -q --values -o v.cms match.cms atac.cms
    [ "$(cms-info v.cms | awk -F '\t' '$1 == "slot.0.state" { print $2 }')" = unknown ]
    diff <(cms-text --labels match.cms) <(cms-text --labels v.cms)
    fails 3 lognorm v.cms
}

@test "the same bytes for any number of threads" {
    prepared match.cms atac.cms
    transfer -q --values -t 1 --no-provenance -o 1.cms match.cms atac.cms
    transfer -q --values -t 3 --no-provenance -o 3.cms match.cms atac.cms
    cmp 1.cms 3.cms
    cmp <(transfer -q -t 1 match.cms atac.cms) <(transfer -q -t 3 match.cms atac.cms)
}

@test "column cells that FROM lacks end it with their number; the other order of operands too" {
    given
    cms-cat --rows 0:20 -o part.cms from.cms
    fails 3 transfer match.cms part.cms
    says '10 of the 30 column cells of match.cms are missing'
    fails 3 transfer from.cms match.cms
    says 'expected a stream of kind match'
}

@test "a full disk in the middle of a long text: its reason is said, not that of the end" {
    prepared match.cms gex.cms
    [ "$(transfer -q match.cms gex.cms | wc -c)" -gt 4096 ] # more than stdio holds
    ! transfer -q match.cms gex.cms 2>err >/dev/full || false
    grep -q 'No space left on device' err
}
