#!/usr/bin/env bats
# The linear preset on real cells against an independent program (NumPy, exact SVD, dense residuals):
# the same similarities to a hundredth of their spread, the same scores to .005.
#
# tests/ref/linear_pbmc.* is what that program gave for the first fold of seed 1 (make_linear.py says
# how it was made).  The long test runs the program itself, where it lies beside the data.

load ../helper

D=pbmc_multiome_2k

setup() {
    scratch
    need_data $D/gex.h5ad $D/atac.h5ad
    need h5-read cms-cat cms-text lognorm tfidf batch xattn-train embed knn-match
    h5-read --labels none -o g.cms "$DATA/$D/gex.h5ad"
    h5-read --labels none -o a.cms "$DATA/$D/atac.h5ad"
}

# fold NAMES [OPTION...]: trains on all cells but NAMES, leaves s.tsv: cell, cell, similarity of NAMES.
fold() {
    local names=$1
    shift
    cms-text --bare g.cms | cut -f 1 | grep -vxFf "$names" >rest
    for m in g a; do cms-cat --names rest -o $m.rest.cms $m.cms; done
    lognorm --method sqrt -o g.train.cms g.rest.cms
    tfidf --method logtfidf -o a.train.cms a.rest.cms
    batch --epochs 0 g.train.cms a.train.cms | xattn-train --preset linear -q "$@" -o m.cms
    cms-cat --names "$names" g.cms | lognorm --like m.cms | embed --model m.cms -o e.cms
    cms-cat --names "$names" a.cms | tfidf --like m.cms | embed --model m.cms -o t.cms
    knn-match -k 1000 --similarities -o s.cms e.cms t.cms
    cms-text --triplets s.cms >s.tsv
}

# scores NAMES: soft match probability at the best temperature, and dual at 40, means of directions.
scores() {
    awk -F '\t' -v OFS='\t' 'NR == FNR { at[$1] = n++; next } { S[at[$1], at[$2]] = $3 }
        END {
            split("5 10 20 40 80 120 160 240", T, " ")
            for (i = 0; i < n; i++) { r[i] = c[i] = -9 }
            for (i = 0; i < n; i++) for (j = 0; j < n; j++) {
                if (S[i, j] > r[i]) r[i] = S[i, j]
                if (S[i, j] > c[j]) c[j] = S[i, j] }
            for (k = 1; k in T; k++) {
                for (i = 0; i < n; i++) x[i] = y[i] = 0
                for (i = 0; i < n; i++) for (j = 0; j < n; j++) {
                    x[i] += exp(T[k] * (S[i, j] - r[i])); y[j] += exp(T[k] * (S[i, j] - c[j])) }
                soft = 0
                for (i = 0; i < n; i++)
                    soft += exp(T[k] * (S[i, i] - r[i])) / x[i] / 2 + exp(T[k] * (S[i, i] - c[i])) / y[i] / 2
                if (soft / n > best) best = soft / n
                if (T[k] == 40) for (i = 0; i < n; i++) { lx[i] = log(x[i]) + 40 * r[i]; ly[i] = log(y[i]) + 40 * c[i] }
            }
            for (i = 0; i < n; i++) {
                a = b = 1
                for (j = 0; j < n; j++) {
                    if (80 * S[i, j] - ly[j] > 80 * S[i, i] - ly[i]) a = 0
                    if (80 * S[j, i] - lx[j] > 80 * S[i, i] - lx[i]) b = 0 }
                dual += (a + b) / 2 }
            print best, dual / n }' "$1" s.tsv
}

@test "similarities and scores of the first fold; -t and the kept pairs" {
    want() { awk -F '\t' -v k="$1" '$1 == k { print $2 }' "$REF/linear_pbmc.txt"; }
    fold "$REF/linear_pbmc.names"
    [ "$(cms-text --head m.cms | awk -F '\t' '$1 == "cis.pairs" { print $2 }')" = "$(want pairs)" ]
    head -n 96 "$REF/linear_pbmc.names" >corner
    od -An -v -t f4 -w4 "$REF/linear_pbmc.f32" | awk -v sd="$(want sd)" '
        FILENAME == "corner" { at[$1] = n++; next }
        FILENAME == "s.tsv" { if ($1 in at && $2 in at) S[at[$1] * 96 + at[$2]] = $3; next }
        { d = $1 - S[m++]; if (d < 0) d = -d; if (d > worst) worst = d }
        END { print m, "similarities, largest difference", worst / sd, "of their spread"
              exit !(m == 96 * 96 && worst <= 0.01 * sd) }' corner s.tsv -
    read -r soft dual < <(scores "$REF/linear_pbmc.names")
    echo "soft $soft dual $dual"
    close_to "$soft" "$(want soft)" 0.005
    close_to "$dual" "$(want dual)" 0.005
    batch --epochs 0 g.train.cms a.train.cms | xattn-train --preset linear -q -t 1 -o one.cms
    [ "$(digest m.cms)" = "$(digest one.cms)" ]
}

@test "three folds, with and without the peak-gene term, beside the program itself" {
    need_long
    program=${CELLMATCH_REF:-$ROOT/../shared/ref}/linear_cis.py
    [ -e "$program" ] || skip "the reference program is absent"
    /usr/bin/python3 -c 'import anndata, scipy' || skip "no anndata"
    for option in '' --no-cis; do
        /usr/bin/python3 "$program" "$DATA/$D/gex.h5ad" "$DATA/$D/atac.h5ad" $option --scores ref >log
        sums='0 0'
        for k in 0 1 2; do
            # shellcheck disable=SC2086
            fold ref.fold$k.names $option
            /usr/bin/python3 - ref.fold$k s.tsv <<'PY'
import sys, numpy as np
want, at = np.load(sys.argv[1] + '.npy'), {}
for name in open(sys.argv[1] + '.names').read().split():
    at[name] = len(at)
found = np.full(want.shape, np.nan)
for line in open(sys.argv[2]):
    row, column, value = line.split('\t')
    found[at[row], at[column]] = float(value)
worst = np.abs(found - want).max() / want.std()
print('largest difference', worst)
sys.exit(not worst <= 0.01)
PY
            read -r soft dual < <(scores ref.fold$k.names)
            read -r soft0 dual0 < <(awk -v k=$k '$2 == k { for (i = 1; i < NF; i++) v[$i] = $(i + 1)
                print v["soft"], v["dual"] }' log)
            echo "fold $k $option: soft $soft ($soft0) dual $dual ($dual0)"
            close_to "$soft" "$soft0" 0.005
            close_to "$dual" "$dual0" 0.005
        done
    done
}
