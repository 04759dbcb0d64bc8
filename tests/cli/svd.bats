# svd: the tool against NumPy (tests/ref/make_matrix.py), --fit, --like, forms of input, edges.
load ../helper
load tiny

# The fixture's matrix as a stream of 120 cells; label `half` is a or b.
fixture() {
    awk '
        $1 ~ /^[a-z]/ { name = $1; next }
        name == "ptr" { np = split($0, ptr, " ") }
        name == "idx" { split($0, idx, " ") }
        name == "val" { split($0, val, " ") }
        END {
            print "#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t1\n#head\tslot.0.name\tATAC"
            print "#head\tslot.0.encoding\tcsr\n#head\tslot.0.value\tauto\n#head\tslot.0.cols\t90"
            print "#head\tslot.0.state\ttfidf\n#head\tlabels\t1\n#head\tlabel.0.name\thalf\n#head\tlabel.0.type\tcat"
            print "#cols\t0\tname"
            for (j = 0; j < 90; j++) print "#cols\t0\tp" j
            print "#dict\thalf\tplain\ta\tb"
            for (i = 1; i < np; i++) {
                printf "c%d\t%s", i, i <= 60 ? "a" : "b"
                for (e = ptr[i] + 1; e <= ptr[i + 1]; e++) printf "\tp%d:%s", idx[e], val[e]
                print ""
            }
            print "#end"
        }' "$REF/matrix_svd.txt" | cms-text --from
}

# scores BLOCK FILE: the largest difference to the fixture's scores, relative to the largest score.
scores() {
    cms-text --bare "$2" | cut -f 3- | awk -v block="$1" '
        NR == FNR { if ($1 ~ /^[a-z]/) { on = $1 == block; next } if (on) want[++n] = $0; next }
        {
            rows++
            if (NF != split(want[rows], w, " ")) { print "row " rows ": " NF " values"; exit }
            for (k = 1; k <= NF; k++) {
                d = $k - w[k]; if (d < 0) d = -d; if (d > worst) worst = d
                a = w[k]; if (a < 0) a = -a; if (a > size) size = a
            }
        }
        END { if (rows != n) print "rows: " rows; else printf "%.12f\n", worst / size }' "$REF/matrix_scores.txt" -
}

@test "scores equal NumPy's: plain, centred, first dropped and z-scored, fitted on half" {
    fixture >in.cms
    for run in plain:-k6 center:-k6,--center drop:-k5,--drop-first,--zscore half:-k6,--fit,half=a; do
        IFS=, read -r -a options <<<"${run#*:}"
        svd --tolerance 1e-8 "${options[@]}" -o out.cms in.cms
        close_to "$(scores "${run%%:*}" out.cms)" 0 2e-6
    done
    cms-text --cols out.cms | cut -f 1 | tr '\n' ' ' | grep -qx 'name PC1 PC2 PC3 PC4 PC5 PC6 '
    svd -k 5 --drop-first in.cms | cms-text --cols - | cut -f 1 | tr '\n' ' ' | grep -qx 'name PC2 PC3 PC4 PC5 PC6 '
}

@test "singular values stand in the column table" {
    fixture | svd -k 8 --tolerance 1e-8 | cms-text --cols - | tail -n +2 | cut -f 2 >got
    awk '$1 == "plain.s" { getline; gsub(" ", "\n"); print }' "$REF/matrix_svd.txt" | paste - got |
        awk '{ d = $1 / $2 - 1; if (d < 0) d = -d; if (d > 1e-9) bad = 1 } END { exit bad || NR != 8 }'
}

@test "the baselines' LSI of new cells equals scikit-learn's: fitted on half, first dropped, z-scored, --like" {
    fixture >in.cms
    svd --tolerance 1e-8 -k 5 --drop-first --zscore --fit half=a -o all.cms in.cms
    close_to "$(scores lsi all.cms)" 0 2e-6
    cms-cat --where half=a in.cms | svd --tolerance 1e-8 -k 5 --drop-first --zscore -o train.cms
    cms-cat --where half=b in.cms | svd --like train.cms -o new.cms
    cms-cat train.cms new.cms >both.cms
    close_to "$(scores lsi both.cms)" 0 2e-6
    cms-cat --where half=b in.cms | svd --like train.cms --drop-first --zscore -k 5 | cms-diff --tolerance 0 new.cms -
}

@test "as run by default: singular values within 1e-3 of SciPy's, scores too" {
    fixture | svd -k 8 -o out.cms
    cms-text --cols out.cms | tail -n +2 | cut -f 2 >got
    awk '$1 == "plain.s" { getline; gsub(" ", "\n"); print }' "$REF/matrix_svd.txt" | paste - got |
        awk '{ d = $1 / $2 - 1; if (d < 0) d = -d; if (d > 1e-3) bad = 1 } END { exit bad || NR != 8 }'
    fixture | svd -k 6 -o out.cms
    close_to "$(scores plain out.cms)" 0 1e-3
}

@test "file, pipe, threads, dense: the same bits; another seed: the same to the tolerance" {
    fixture >in.cms
    svd -k 6 --tolerance 1e-8 -o want.cms in.cms
    svd -t 2 -k 6 --tolerance 1e-8 in.cms | cms-diff --tolerance 0 want.cms -
    cat in.cms | svd -k 6 --tolerance 1e-8 | cms-diff --tolerance 0 want.cms -
    [ "$(svd -t 2 -k 6 --tolerance 1e-8 in.cms | cms-info - | grep ^digest)" = "$(cms-info want.cms | grep ^digest)" ]
    svd --seed 7 -k 6 --tolerance 1e-8 -o other.cms in.cms
    close_to "$(scores plain other.cms)" 0 2e-6
    DENSE=1 tiny counts 'a x 1 1 3 0' 'b y 1 0 0 0' 'c y 1 0 2 2' | svd -q -k 2 | cms-text --bare - >dense
    tiny counts 'a x 1 A:1 B:3' 'b y 1' 'c y 1 B:2 C:2' | svd -q -k 2 | cms-text --bare - | diff - dense
}

@test "--like: the same cells give the same bits, columns in any order, through filters" {
    fixture >in.cms
    for options in '' --center '--drop-first --zscore'; do
        # shellcheck disable=SC2086
        svd -k 6 $options --fit half=a -o fit.cms in.cms
        svd --like fit.cms in.cms | cms-diff --tolerance 0 fit.cms -
        cms-text --cols in.cms | tail -n +2 | cut -f 1 | sort -r >order
        cms-cat --columns order in.cms | svd --like fit.cms | cms-text --triplets - |
            paste <(cms-text --triplets fit.cms) - | awk '
                { d = $3 - $6; if (d < 0) d = -d; if ($1 != $4 || $2 != $5 || d > 1e-5) exit 1; n++ }
                END { exit n != 720 }'
        cms-cat --where half=b fit.cms >part.cms
        cms-cat --where half=b in.cms | svd --like part.cms | cms-diff --tolerance 0 part.cms -
        cms-text fit.cms | cms-text --from >text.cms
        svd --like text.cms in.cms | cms-diff --tolerance 0 fit.cms -
    done
}

@test "--like: a column that one side lacks is named; contradictions are usage errors" {
    fixture >in.cms
    svd -k 6 -o fit.cms in.cms
    cms-text --cols in.cms | tail -n +3 | cut -f 1 >but_p0
    cms-cat --columns but_p0 in.cms >less.cms
    fails 3 svd --like fit.cms -o x less.cms
    says '"p0" of fit.cms is missing'
    svd -k 6 -o less_fit.cms less.cms
    fails 3 svd --like less_fit.cms -o x in.cms
    says 'no loadings of column "p0"'
    fails 2 svd --like fit.cms -k 5 -o x in.cms
    fails 2 svd --like fit.cms --zscore -o x in.cms
    fails 2 svd --like fit.cms --center -o x in.cms
    fails 2 svd --like fit.cms --drop-first -o x in.cms
    fails 2 svd --like fit.cms --fit half=a -o x in.cms
    svd --like fit.cms -k 6 -o x in.cms
    fails 3 svd -k 5 -o y fit.cms
    says 'svd already'
}

@test "no cells, few cells, cells without entries" {
    tiny counts | svd -k 2 -o out.cms
    [ -z "$(rows out.cms)" ]
    cms-info --check out.cms
    tiny counts 'a x 1 A:2' >one.cms
    fails 3 svd -k 2 -o out.cms one.cms
    says 'at least 2 cells and columns'
    fails 3 svd -k 4 -o out.cms one.cms
    svd -k 1 one.cms | cms-text --bare - | grep -qx $'a\tx\t1\t2'
    tiny counts 'a x 1 A:2' 'b x 1' 'c x 1 A:1 B:3 C:1' >three.cms
    svd -k 2 --center -o out.cms three.cms 2>err
    [ "$(cat err)" = "svd: warning: 1 of 3 cells have no entries; their rows are zero" ]
    rows out.cms | grep -qx 'b x 1 0 0'
    svd -q -k 3 --zscore -o out.cms three.cms # rank 2: the third component is noise, and finite
    cms-info --check out.cms
}

@test "real cells: fifty components as exact as asked" {
    need_data pbmc_multiome_2k/atac.h5ad
    need /usr/bin/python3
    /usr/bin/python3 -c 'import numpy' || skip "no numpy"
    h5-read "$DATA/pbmc_multiome_2k/atac.h5ad" | tfidf --method logtfidf --materialize -o x.cms
    svd --center -k 50 -o y.cms x.cms
    cms-text --triplets x.cms >x.txt
    cms-text --triplets y.cms >y.txt
    /usr/bin/python3 - <<'PY'
import numpy as np
def read(name):
    rows, cols, out = {}, {}, []
    for line in open(name):
        if line.startswith("#"):
            continue
        r, c, v = line.rstrip("\n").split("\t")
        out.append((rows.setdefault(r, len(rows)), cols.setdefault(c, len(cols)), float(v)))
    a = np.zeros((len(rows), len(cols)))
    for r, c, v in out:
        a[r, c] = v
    return a
x, y = read("x.txt"), read("y.txt")
x -= x.mean(axis=0)
u, s, vt = np.linalg.svd(x, full_matrices=False)
assert y.shape == (1620, 50), y.shape
cos = np.linalg.svd(u[:, :50].T @ np.linalg.qr(y)[0], compute_uv=False).min()
assert np.sqrt(max(0, 1 - cos ** 2)) < 1e-3, cos
# what a matcher uses: inner products of standardised components, in units of their sd
exact = u[:, :50] / u[:, :50].std(axis=0)
ours = y / y.std(axis=0)
exact, ours = exact @ exact.T, ours @ ours.T
assert np.abs(ours - exact).max() < 1e-2 * exact.std(), np.abs(ours - exact).max() / exact.std()
PY
}
