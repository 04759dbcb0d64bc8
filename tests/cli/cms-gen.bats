# cms-gen: what was asked for, the same for any thread count, and an oracle that score believes.
load ../helper

value() { awk -F '\t' -v k="$2" '$1 == k { print $2 }' "$1"; }

@test "shape, state, labels and places are as asked" {
    cms-gen --gex g.cms --atac a.cms --cells 500 --genes 300 --peaks 700 --types 3 --batches 5 --unseen-batches 2 --nnz-gex 40 --nnz-atac 90
    cms-info g.cms >g.tsv
    cms-info a.cms >a.tsv
    [ "$(value g.tsv rows) $(value g.tsv slot.0.cols) $(value g.tsv slot.0.state) $(value g.tsv slot.0.name)" = "500 300 counts GEX" ]
    [ "$(value a.tsv rows) $(value a.tsv slot.0.cols) $(value a.tsv slot.0.state) $(value a.tsv slot.0.name)" = "500 700 counts ATAC" ]
    [ "$(value g.tsv labels)" = batch,cell_type,split ]
    [ "$(value g.tsv slot.0.columns)" = name,chrom,start,end,tss ]
    [ "$(value a.tsv slot.0.columns)" = name,chrom,start,end ]
    close_to "$(($(value g.tsv slot.0.nnz) / 500))" 40 3
    close_to "$(($(value a.tsv slot.0.nnz) / 500))" 90 6
    [ "$(cms-text --labels g.cms | cut -f 2,4 | sed 1d | sort -u | tr '\t\n' ' ,')" = \
        "batch1 train,batch2 train,batch3 valid,batch4 test,batch5 test," ]
    [ "$(cms-text --labels g.cms | cut -f 3 | sed 1d | sort -u | wc -l)" = 3 ]
}

@test "the same cells on both sides, shuffled unless --aligned" {
    cms-gen --gex g.cms --atac a.cms --cells 200 --genes 50 --peaks 80
    cms-text --labels g.cms >g.tsv
    cms-text --labels a.cms >a.tsv
    diff <(sort g.tsv) <(sort a.tsv)
    ! cmp -s g.tsv a.tsv
    diff <(cut -f 2 g.tsv) <(cut -f 2 a.tsv) # batches stay together
    cms-gen --aligned --atac b.cms --cells 200 --genes 50 --peaks 80
    cms-text --labels b.cms | diff g.tsv -
    sed 1d g.tsv | cut -f 1 >names # rows alone moved
    diff <(cms-text --triplets a.cms | sort) <(cms-text --triplets b.cms | sort)
}

@test "bits depend on the seed, not on threads or on the other outputs" {
    cms-gen -t 1 --gex g1.cms --atac a1.cms --oracle o1.cms --cells 120 --genes 60 --peaks 90
    cms-gen -t 3 --gex g2.cms --oracle o2.cms --cells 120 --genes 60 --peaks 90
    [ "$(digest g1.cms)" = "$(digest g2.cms)" ]
    [ "$(digest o1.cms)" = "$(digest o2.cms)" ]
    cms-gen --seed 7 --gex g3.cms --cells 120 --genes 60 --peaks 90
    [ "$(digest g1.cms)" != "$(digest g3.cms)" ]
    cms-gen --gex - --cells 120 --genes 60 --peaks 90 | cms-diff --tolerance 0 - g1.cms
}

@test "the oracle's printed score is the one of score, and its defaults lie between .3 and .7" {
    need score
    cms-gen --oracle o.cms >printed.tsv
    score o.cms >score.tsv
    for k in match_probability match_probability_hard chance; do
        close_to "$(value printed.tsv $k)" "$(value score.tsv $k)" 1e-5
    done
    [ "$(value printed.tsv cells)" = 334 ]
    awk -v h="$(value score.tsv match_probability_hard)" 'BEGIN { exit !(h > .3 && h < .7) }'
    [ "$(value score.tsv official_format)" = 1 ]
    [ "$(value score.tsv paper_format)" = 1 ]
    awk -v c="$(value score.tsv celltype_match)" 'BEGIN { exit !(c > .99) }'
}

@test "without a signal the oracle knows nothing" {
    cms-gen --oracle o.cms --signal 0 --cells 300 --genes 200 --peaks 300 >printed.tsv
    close_to "$(value printed.tsv match_probability)" "$(value printed.tsv chance)" 1e-6
}

@test "a share of the signal is local" {
    cms-gen --oracle a.cms --cis 0 --cells 600 >a.tsv
    cms-gen --oracle b.cms --cis 1 --signal 0.5 --cells 600 >b.tsv
    for f in a b; do # either alone tells something
        awk -v p="$(value $f.tsv match_probability)" -v c="$(value $f.tsv chance)" 'BEGIN { exit !(p > 2 * c) }'
    done
}

@test "--scale bmmc is the default of the sizes alone" {
    cms-gen --scale bmmc --cells 40 --genes 600 --batches 2 --gex g.cms --atac a.cms
    cms-info g.cms >g.tsv
    [ "$(value g.tsv rows) $(value g.tsv slot.0.cols)" = "40 600" ]
    [ "$(cms-info a.cms | awk '$1 == "slot.0.cols" { print $2 }')" = 116490 ]
    close_to "$(($(cms-info a.cms | awk '$1 == "slot.0.nnz" { print $2 }') / 40))" 3586 500
}
