load ../helper

setup() {
    scratch
    zstd -dqc "$REF/formats.tar.zst" | tar -xf -
}

# Skips where the oracle is not installed.
need_anndata() { /usr/bin/python3 -W ignore -c 'import anndata' 2>/dev/null || skip "no anndata"; }

@test "h5-read: a written stream has what the file has (triplets against the oracle's text)" {
    need cms-text
    h5-read new.h5ad | cms-text --triplets >got
    awk '$1 == "column" { name[n++] = $2 }
         $1 == "row" { sub(/^row /, ""); cell = $1; sub(/.*;/, "")
                       for (k = 1; k <= NF; k++) { split($k, e, ":"); print cell "\t" name[e[1]] "\t" e[2] } }' \
        new.h5ad.txt >want
    cmp got want
}

@test "h5-read: a pipe, a redirection and a file give the same stream" {
    h5-read --no-provenance -o a.cms new.h5ad
    h5-read --no-provenance -o b.cms <new.h5ad
    cat new.h5ad | h5-read --no-provenance -o c.cms -
    h5-read --no-provenance -o d.cms <(cat new.h5ad)
    cmp a.cms b.cms
    cmp a.cms c.cms
    cmp a.cms d.cms
    cat two.h5mu | h5-read --no-provenance -o e.cms /dev/stdin/rna
    h5-read --no-provenance -o f.cms two.h5mu/mod/rna
    cmp e.cms f.cms
}

@test "h5-read: several types leave in one pass as they do one by one" {
    h5-read --no-provenance --to "Gene Expression=g.cms" --to Peaks=p.cms --to ADT=a.cms tenx3.h5
    h5-read --no-provenance --type GEX -o g1.cms tenx3.h5
    h5-read --no-provenance --type atac -o p1.cms tenx3.h5
    h5-read --no-provenance --type "Antibody Capture" -o a1.cms tenx3.h5
    cmp g.cms g1.cms
    cmp p.cms p1.cms
    cmp a.cms a1.cms
    h5-read --no-provenance --to rna=r.cms --to ADT=t.cms two.h5mu
    h5-read --no-provenance -o r1.cms two.h5mu/rna
    h5-read --no-provenance -o t1.cms two.h5mu/prot
    cmp r.cms r1.cms
    cmp t.cms t1.cms
}

@test "h5-read: a type must be chosen, and exist" {
    fails 2 h5-read -o x.cms tenx3.h5
    says "Gene Expression (3), Peaks (2), Antibody Capture (1); choose with --type or --to"
    fails 3 h5-read --type GENES -o x.cms tenx3.h5
    says "has no features of type GENES"
    fails 3 h5-read --to GEX=g.cms --to GENES=x.cms tenx3.h5
    fails 3 h5-read --to GEX=g.cms --to atac=x.cms two.h5mu
    says "no modality is or holds features of type atac"
    [ ! -e g.cms ] && [ ! -e x.cms ]
    fails 3 h5-read -o x.cms two.h5mu
    says "rna, prot"
}

@test "h5-read: a matrix stored by columns is the same within any memory" {
    h5-read --no-provenance --layer log -o a.cms new.h5ad
    h5-read --no-provenance --layer log --max-memory 4K -o b.cms new.h5ad
    cmp a.cms b.cms
}

@test "h5-read --list names what is there" {
    h5-read --list new.h5ad >list
    [ "$(awk -F '\t' '$1 == "layer" { print $2 ":" $3 }' list | paste -sd ' ')" = "log:csc f64 whole:dense i32 raw:csr f32" ]
    [ "$(awk -F '\t' '$1 == "label"' list | wc -l)" = 9 ]
    awk -F '\t' '{ exit NF != 6 }' list
    h5-read --list tenx3.h5 >list
    [ "$(awk -F '\t' '$1 == "type" { print $2 "=" $5 }' list | paste -sd ' ')" = "Gene Expression=3 Peaks=2 Antibody Capture=1" ]
    h5-read --list tenx2.h5 | grep -P '^matrix\tmm10\tcsr i32\t5\t3\t'
    h5-read --list two.h5mu | grep -P '^matrix\tprot/X\tdense f32\t4\t2\t8'
}

@test "h5-read --pairs prints the solution's pairing" {
    h5-read --pairs solution.h5ad >got
    cmp got solution.txt
    fails 3 h5-read --pairs new.h5ad
}

@test "h5-read --match: probabilities, or similarities with a warning" {
    h5-read --match prediction.h5ad | zstd -dcq >m
    grep -aqP 'slot.0.state\tprobability' m
    h5-read --match bad-negative.h5ad 2>err | zstd -dcq >m
    grep -aqP 'slot.0.state\tsimilarity' m
    grep -q 'warning: .*some values are negative' err
    need score
    score --pairs solution.txt <(h5-read --match prediction.h5ad) >s
    close_to "$(awk '$1 == "match_probability" { print $2 }' s)" 0.1666666666666667 1e-7
}

@test "h5-read: damage has status 3, names the place and leaves nothing" {
    fails 3 h5-read -o x.cms bad-nan.h5ad
    says "/X: row 1, column 2: the value is NaN"
    fails 3 h5-read -o x.cms bad-indptr.h5ad
    says "/X/indptr"
    fails 3 h5-read -o x.cms bad-filter.h5ad
    says "filter 32026"
    fails 3 h5-read --state counts -o x.cms bad-negative.h5ad
    says "column 2 (2): the value is -3"
    h5-read -o y.cms bad-negative.h5ad
    [ ! -e x.cms ]
}

@test "h5-read: cut at any place it fails, or the rest was never needed" {
    local size at
    size=$(wc -c <v07.h5ad)
    for at in 0 7 8 96 500 $((size / 4)) $((size / 2)) $((size - 1)); do
        head -c "$at" v07.h5ad >cut.h5ad
        fails 3 h5-read -o x.cms cut.h5ad
    done
}

@test "h5-read: duplicates are summed with a warning, strange columns left out with one" {
    h5-read -o x.cms odd.h5ad 2>err
    grep -q '1 entries repeated a row and column' err
    grep -q '/obs/odd: has no counterpart in a stream; left out' err
    [ "$(wc -l <err)" = 2 ]
}

@test "h5-read: options that contradict one another" {
    fails 2 h5-read --type GEX --to ATAC=x.cms tenx3.h5
    fails 2 h5-read --list --pairs solution.h5ad
    fails 2 h5-read --to GEX tenx3.h5
    fails 2 h5-read --where batch -o x.cms new.h5ad
    fails 2 h5-read -o new.h5ad new.h5ad
    fails 3 h5-read --labels absent -o x.cms new.h5ad
    says "found: batch, stage"
    fails 3 h5-read --where absent=1 -o x.cms new.h5ad
}

# reader FILE MATRIX ENCODING: sets "$@"-like array `how`, the operands that name this matrix.
how_to_read() {
    how=("$DATA/formats/$1")
    case $3:$1 in
    *.h5mu) how=("$DATA/formats/$1/$2") ;;
    10x-v3:*) how=(--type "$2" "$DATA/formats/$1") ;;
    10x-v2:*) how=(--genome "$2" "$DATA/formats/$1") ;;
    esac
}

# The real files, against what an independent reader finds in them: shape, stored entries, their
# sum, and the names at both ends.  Sums are printed with nine digits, and adding in another order
# moves them by some units of the last place of the sum of the absolute values.  One line is less
# exact: the sum of the file from matchclot was taken in 32-bit floats, where each of the about
# log2(n) additions that an entry takes part in rounds by up to 2^-24; the exact sum is 65582.8943.
@test "h5-read: every line of MANIFEST.tsv" {
    need_data formats/MANIFEST.tsv
    need cms-info cms-text
    local file matrix cells features stored sum encoding names1 names2 names3 names4 lines=0 single
    while IFS=$'\t' read -r file matrix cells features stored sum encoding names1 names2 names3 names4; do
        [ "$file" != file ] || continue
        how_to_read "$file" "$matrix" "$encoding"
        h5-read -q -o x.cms "${how[@]}"
        cms-info x.cms >info
        cms-text --triplets x.cms >triplets
        cms-text --labels x.cms | tail -n +2 | cut -f 1 >rows
        cms-text --cols x.cms | tail -n +2 | cut -f 1 >cols
        echo "$file $matrix" >&2
        [ "$(awk -F '\t' '$1 == "rows" { print $2 }' info)" = "$cells" ]
        [ "$(awk -F '\t' '$1 == "slot.0.cols" { print $2 }' info)" = "$features" ]
        # dense matrices are listed in full, stored zeros of sparse ones too
        [ "$(awk -F '\t' '$1 == "slot.0.nnz" { print $2 }' info)" = "$stored" ]
        [ "$(wc -l <triplets)" = "$stored" ]
        single=0
        [[ $file != matchclot_* ]] || single=1
        # the text of a float is the shortest that reads back; the float itself is added here
        awk -F '\t' -v want="$sum" -v single=$single -v n="$stored" \
            -v wide="$(cms-text --head x.cms | awk '$1 == "slot.0.value" { print $2 }')" '
            function float(v,  a, u) {
                a = v < 0 ? -v : v
                if (wide == "f64" || a < 2 ^ -100) return v
                for (u = 1; a / u >= 2 ^ 24; u *= 2);
                for (; a / u < 2 ^ 23; u /= 2);
                a = int(a / u + .5) * u
                return v < 0 ? -a : a
            }
            { v = float($3); s += v; a += v < 0 ? -v : v }
            END {
                steps = n > 1 ? log(n) / log(2) : 1
                t = 5e-9 * (want < 0 ? -want : want) + a * 2 ^ -52 * steps
                if (single) t = a * 2 ^ -24 * steps
                d = s - want
                if ((d < 0 ? -d : d) > t) { printf "sum %.12g, expected %s\n", s, want; exit 1 }
                d = s - 65582.8943
                if (single && (d < 0 ? -d : d) > 1e-4) { printf "sum %.12g\n", s; exit 1 }
            }' triplets >&2
        [ "$(head -n 1 rows)" = "$names1" ]
        [ "$(tail -n 1 rows)" = "$names2" ]
        [ "$(head -n 1 cols)" = "$names3" ]
        [ "$(tail -n 1 cols)" = "$names4" ]
        [ "$(wc -l <rows)" = "$cells" ] && [ "$(wc -l <cols)" = "$features" ]
        lines=$((lines + 1))
    done <"$DATA/formats/MANIFEST.tsv"
    [ "$lines" = "$(grep -vc '^file' "$DATA/formats/MANIFEST.tsv")" ]
}

# anndata is the oracle: all cells, labels and values of the starter kits.
@test "h5-read: the starter kits hold what anndata finds in them" {
    need_data bmmc_multiome_starter bmmc_cite_starter
    need_anndata
    local f n=0
    for f in "$DATA"/bmmc_*_starter/*_mod[12].h5ad; do
        h5-read -q "$f" >x.cms
        cms-text --triplets x.cms >triplets
        cms-text --labels x.cms >labels
        /usr/bin/python3 -W ignore - "$f" <<'P'
import sys, anndata, numpy as np
a = anndata.read_h5ad(sys.argv[1])
x = a.X.tocsr(); x.sort_indices(); x = x.tocoo()
t = [l.rstrip("\n").split("\t") for l in open("triplets")]
assert [r[0] for r in t] == a.obs_names[x.row].tolist()
assert [r[1] for r in t] == a.var_names[x.col].tolist()
assert (np.array([r[2] for r in t], "f8").astype(x.data.dtype) == x.data).all()
rows = [l.rstrip("\n").split("\t") for l in open("labels")][1:]
assert [r[0] for r in rows] == a.obs_names.tolist()
assert all(len(r) == 1 + a.obs.shape[1] for r in rows)
P
        n=$((n + 1))
    done
    [ $n = 8 ]
}

@test "h5-read: the 10x layout holds the matrices of the .h5ad files" {
    need_data pbmc_multiome_2k/pbmc_arc_layout.h5
    need cms-diff
    h5-read --to GEX=g.cms --to ATAC=a.cms "$DATA/pbmc_multiome_2k/pbmc_arc_layout.h5"
    h5-read -o g1.cms "$DATA/pbmc_multiome_2k/gex.h5ad"
    h5-read -o a1.cms "$DATA/pbmc_multiome_2k/atac.h5ad"
    cms-diff --ignore-names g.cms g1.cms
    cms-diff --ignore-names a.cms a1.cms
}

@test "h5-read: the competition's starter predictions have their official scores" {
    need_data bmmc_cite_starter
    need score
    local kit want d
    for kit in cite:0.0325490195533 multiome:0.00412186380556; do
        want=${kit#*:}
        d=$DATA/bmmc_${kit%:*}_starter/openproblems_bmmc_${kit%:*}_starter
        score --pairs <(h5-read --pairs "$d.test_sol.h5ad") <(h5-read --match "$d.prediction.h5ad") >s
        close_to "$(awk '$1 == "match_probability" { print $2 }' s)" "$want" 1e-9
    done
}

@test "h5-read: a file that a writer holds open and locked is read" {
    need_anndata
    cp new.h5ad held.h5ad
    /usr/bin/python3 - <<'P' 3>&- &
import h5py, os, time
f = h5py.File('held.h5ad', 'r+')
open('locked', 'w').close()
for k in range(600):
    if os.path.exists('enough'):
        break
    time.sleep(.05)
P
    local k
    for ((k = 0; k < 600; k++)); do
        [ ! -e locked ] || break
        sleep .05
    done
    h5-read --no-provenance -o a.cms held.h5ad
    : >enough
    wait
    h5-read --no-provenance -o b.cms new.h5ad
    cmp a.cms b.cms
}

@test "h5-read: a filter that is missing is named before anything is read, with what can be done" {
    fails 3 h5-read -o x.cms bad-filter.h5ad
    says "/X/indices: needs HDF5 filter 32026 (blosc2), not available; install its plugin, give --plugins, or set HDF5_PLUGIN_PATH"
    fails 3 env HDF5_PLUGIN_PATH="$PWD" h5-read --plugins -o x.cms bad-filter.h5ad
    says "or set HDF5_PLUGIN_PATH (searched: $PWD)"
    [ ! -e x.cms ]
}

@test "h5-read: names of 10x files keep their &#NNN; as other readers do" {
    need_anndata
    /usr/bin/python3 - <<'P'
import h5py, numpy as np
with h5py.File('x.h5', 'w') as h:
    h['matrix/barcodes'] = np.array([b'A-1'])
    h['matrix/data'], h['matrix/indices'], h['matrix/indptr'], h['matrix/shape'] = [3], [1], [0, 1], [2, 1]
    h['matrix/features/id'], h['matrix/features/name'] = np.array([b'E1', b'E2']), np.array([b'TNF&#945;', b'b'])
    h['matrix/features/feature_type'] = np.array([b'Gene Expression'] * 2)
P
    h5-read x.h5 | cms-text --cols | grep -q 'TNF&#945;'
}

@test "h5-read: the same bytes for any number of threads" {
    local f t
    for f in new.h5ad same-shuffle.h5ad same-gzip-csc.h5ad full-gzip.h5ad; do
        h5-read -q --no-provenance -t 1 -o a.cms $f
        for t in 2 3 8; do
            h5-read -q --no-provenance -t $t -o b.cms $f
            cmp a.cms b.cms
        done
    done
}

@test "h5-read: loom, its layers, and what it calls them" {
    h5-read -q --no-provenance loom.loom | cms-text --triplets >got
    awk '$1 == "column" { name[n++] = $2 }
         $1 == "row" { cell = $2; sub(/.* ;/, "")
                       for (k = 1; k <= NF; k++) { split($k, e, ":"); print cell "\t" name[e[1]] "\t" e[2] } }' \
        loom.txt >want
    cmp got want
    h5-read -q --list loom.loom | grep -P '^layer\thalf\ttransposed f32\t530\t7\t'
    fails 3 h5-read --layer raw -o x.cms loom.loom
}
