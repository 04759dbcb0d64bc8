load ../helper

# From real files to a score, as a user does it; on generated cells: tests/cli/pipelines.bats.

metric() { awk -F '\t' -v m="$2" '$1 == m { print $2 }' "$1"; }
above() { awk -v a="$1" -v b="$2" 'BEGIN { exit !(a > b) }' || { echo "expected $1 > $2" >&2; return 1; }; }

@test "train.sh, match.sh: .h5ad files of real cells" {
    need_data pbmc_multiome_2k/gex.h5ad
    D=$DATA/pbmc_multiome_2k
    train.sh --preset linear "$D/gex.h5ad" "$D/atac.h5ad" m.cms
    for side in gex atac; do
        h5-read "$D/$side.h5ad" | cms-cat --where split=valid -o $side.cms -
    done
    match.sh m.cms gex.cms atac.cms match.cms
    score match.cms >score.tsv
    [ "$(metric score.tsv cells)" = 205 ]
    # 205 cells: chance .0049.  The bound is that of a broken pipeline, not of a good model.
    above "$(metric score.tsv match_probability)" 0.1
    # One file of both feature types is the same cells.
    h5-read --to GEX=g.cms --to ATAC=a.cms "$D/pbmc_arc_layout.h5"
    cms-diff --ignore-names g.cms <(h5-read "$D/gex.h5ad")
    cms-diff --ignore-names a.cms <(h5-read "$D/atac.h5ad")
}

@test "score: the competition's own predictions give the competition's own numbers" {
    need_data bmmc_cite_starter bmmc_multiome_starter
    for kit in cite multiome; do
        D=$DATA/bmmc_${kit}_starter
        score --pairs <(h5-read --pairs "$D"/*.test_sol.h5ad) <(h5-read --match "$D"/*.prediction.h5ad) >$kit.tsv
    done
    close_to "$(metric cite.tsv match_probability)" 0.0325490195533 1e-9
    close_to "$(metric multiome.tsv match_probability)" 0.00412186380556 1e-8
    fails 3 score <(h5-read --match "$DATA"/bmmc_cite_starter/*.prediction.h5ad)
}
