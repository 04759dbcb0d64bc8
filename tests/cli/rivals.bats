#!/usr/bin/env bats
# The pipelines fixture.sh, rivals.sh and neurips2021.sh.

load ../helper

metric() { awk -F '\t' -v m="$1" '$1 == m { print $2 }' "${2:-s}"; }

@test "fixtures have the scores that they must have" {
    prepared e.cms t.cms
    n=300
    fixture.sh solution e.cms t.cms | score >s
    [ "$(metric match_probability)" = 1 ]
    [ "$(metric aupr)" = 1 ]
    fixture.sh constant e.cms t.cms | score >s
    close_to "$(metric match_probability)" "$(awk "BEGIN { print 1 / $n }")" 1e-6
    close_to "$(metric top5)" "$(awk "BEGIN { print 5 / $n }")" 1e-3
    close_to "$(metric auroc)" 0.5 1e-3
    fixture.sh random e.cms t.cms | score >s
    close_to "$(metric match_probability)" "$(awk "BEGIN { print 1 / $n }")" 1e-3
    fixture.sh semi-solution e.cms t.cms >semi.cms
    score semi.cms >s
    # one of eleven equal weights on average: E[w0 / sum] = 1/11, standard error 0.0034
    close_to "$(metric match_probability)" "$(awk 'BEGIN { print 1 / 11 }')" 0.014
    [ "$(metric official_format)" = 1 ]
    SEED=7 fixture.sh semi-solution e.cms t.cms >other.cms
    fixture.sh semi-solution e.cms t.cms | cms-diff --tolerance 0 - semi.cms
    if cms-diff --tolerance 0 semi.cms other.cms >/dev/null; then false; fi
    fails 2 fixture.sh truth e.cms t.cms
}

@test "baselines.sh: published methods and ours on one split, each better than chance" {
    cms-gen --gex g.cms --atac a.cms --cells 300 --genes 100 --peaks 200
    EPOCHS_best=10 EPOCHS_attn=10 EPOCHS_paper=4 EPOCHS_small=30 EPOCHS_novel=6 EPOCHS_matchclot=6 EPOCHS_clue=8 \
        rivals.sh out g.cms a.cms >table 2>err
    [ "$(head -n 1 table)" = "$(printf 'method\tsoft\thard\ttop5\tfoscttm\taupr\tseconds\tmib')" ]
    for m in linear closed best attn paper authors cca cca-scaled ridge procrustes small novel novel+exact matchclot matchclot+sinkhorn \
        clue clue+snn random constant semi-solution solution; do
        [ "$(awk -F '\t' -v m=$m '$1 == m && NF == 8' table | wc -l)" = 1 ]
    done
    [ "$(wc -l <table)" = 22 ]
    # a kernel of 100 genes does not fit into chromosomes of 10, and that is said
    grep -qx "$(printf 'authors\t-\t-\t-\t-\t-\t-\t-')" table
    grep -q 'authors: .*kernel' err
    awk -F '\t' '
        $1 == "random" { chance = $4 }
        $1 == "solution" && ($2 != 1 || $3 != 1 || $4 != 1) { exit 1 }
        $1 ~ /^(linear|closed|best|attn|cca|ridge|procrustes|small|novel|matchclot|clue)$/ { top5[$1] = $4; if ($5 >= .45 || $7 == "-") exit 1 }
        END { for (m in top5) if (!(top5[m] > 1.5 * chance)) { print m, top5[m], chance; exit 1 } }' table
    for m in linear clue; do for f in model e t match; do cms-info --check out/$m.$f.cms >/dev/null; done; done
    RIVALS='cca solution' baselines.sh out g.cms a.cms | cut -f 1 | paste -sd ' ' | grep -qx 'method cca solution'
    fails 3 rivals.sh out "$PREPARED/gex.svd.cms" a.cms
}

starter() { # multiome|cite: sets $files and $truth
    need_data "bmmc_$1_starter/openproblems_bmmc_$1_starter.train_sol.h5ad"
    local d=$DATA/bmmc_$1_starter/openproblems_bmmc_$1_starter
    files=("$d.train_mod1.h5ad" "$d.train_mod2.h5ad" "$d.train_sol.h5ad" "$d.test_mod1.h5ad" "$d.test_mod2.h5ad")
    h5-read --pairs -o truth "$d.test_sol.h5ad"
}

layout() { # PREDICTION INPUT: what the competition's check asks for, by an independent reader
    /usr/bin/python3 -c 'import anndata' 2>/dev/null || return 0
    /usr/bin/python3 - "$1" "$2" "$3" <<'PY'
import sys, warnings
warnings.simplefilter("ignore")
import anndata, numpy as np, scipy.sparse as sp
p, one, two = (anndata.read_h5ad(f) for f in sys.argv[1:])
assert sp.issparse(p.X), type(p.X)
assert p.shape == (one.n_obs, two.n_obs), p.shape
assert list(p.obs_names) == list(one.obs_names) and list(p.var_names) == list(two.obs_names)
assert p.uns["dataset_id"] == one.uns["dataset_id"]
assert isinstance(p.uns["method_id"], str) and p.uns["method_id"]
x = p.X.tocsr()
assert np.diff(x.indptr).max() <= 1000 and x.nnz <= 1000 * p.n_obs and x.data.min() >= 0
assert np.allclose(np.asarray(x.sum(1)).ravel(), 1, atol=1e-5)
PY
}

@test "neurips2021.sh: genes and peaks of the starter kit, both directions" {
    starter multiome
    neurips2021.sh "${files[@]}" one.h5ad 2>err
    layout one.h5ad "${files[3]}" "${files[4]}"
    h5-read --match one.h5ad | score --pairs truth >s
    [ "$(metric official_format)" = 1 ]
    [ "$(metric paper_format)" = 1 ]
    # 279 cells; the kit's own prediction has 0.0041
    awk -v p="$(metric match_probability)" 'BEGIN { exit !(p > 0.006) }'
    # the other direction: a solution with rows and columns exchanged
    h5-read --pairs "${files[2]}" | awk -F '\t' -v OFS='\t' '
        FNR > 1 { row[$2] = $1; n++ }
        END {
            print "#cms", 1 "\n#head", "kind", "match\n#head", "slots", "1\n#head", "slot.0.name", "match"
            print "#head", "slot.0.encoding", "csr\n#head", "slot.0.value", "f32\n#head", "slot.0.state", "probability"
            print "#head", "slot.0.cols", n "\n#cols", 0, "name"
            for (j = 0; j < n; j++) print "#cols", 0, "c" j
            for (i = 0; i < n; i++) print "r" i, "c" row[i] ":1"
            print "#end"
        }' | cms-text --from | h5-write -o sol.h5ad
    neurips2021.sh "${files[1]}" "${files[0]}" sol.h5ad "${files[4]}" "${files[3]}" two.h5ad 2>err
    layout two.h5ad "${files[4]}" "${files[3]}"
    awk -F '\t' -v OFS='\t' '{ print NR == 1 ? $0 : $2 OFS $1 }' truth >back
    h5-read --match two.h5ad | score --pairs back >s
    [ "$(metric official_format)" = 1 ]
    awk -v p="$(metric match_probability)" 'BEGIN { exit !(p > 0.006) }'
}

@test "neurips2021.sh: genes and proteins of the starter kit" {
    need clr
    starter cite
    PRESET=linear neurips2021.sh "${files[@]}" p.h5ad 2>err
    layout p.h5ad "${files[3]}" "${files[4]}"
    h5-read --match p.h5ad | score --pairs truth >s
    [ "$(metric official_format)" = 1 ]
    # 289 cells; the kit's own prediction has 0.0325
    awk -v p="$(metric match_probability)" 'BEGIN { exit !(p > 0.04) }'
    ASSIGN='assign --hard' PRESET=linear neurips2021.sh "${files[@]}" hard.h5ad 2>err
    h5-read --match hard.h5ad | score --pairs truth >s
    [ "$(metric match_probability)" = "$(metric match_probability_hard)" ]
}

@test "neurips2021.sh: what does not fit is refused, and nothing is left" {
    starter multiome
    fails 2 neurips2021.sh "${files[@]}"
    fails 3 neurips2021.sh "${files[0]}" "${files[0]}" "${files[2]}" "${files[3]}" "${files[4]}" x.h5ad
    says 'GEX and GEX'
    other=$DATA/bmmc_cite_starter/openproblems_bmmc_cite_starter.train_sol.h5ad
    [ ! -e "$other" ] || {
        fails 3 neurips2021.sh "${files[0]}" "${files[1]}" "$other" "${files[3]}" "${files[4]}" x.h5ad
        says 'pairs rows'
    }
    [ ! -e x.h5ad ]
}
