# cms-diff: what is no difference, what is, and what it says.
load ../helper

differs() { # TEXT ARGUMENTS...
    local text=$1 got=0
    shift
    cms-diff "$@" >out || got=$?
    [ $got = 1 ] && grep -qF "$text" out || { echo "status $got, expected '$text' in:" && cat out && return 1; }
}

@test "blocks, types, lazy values, provenance and promised rows are no difference" {
    prepared gex.cms atac.tfidf.cms
    cms-cat --rows 0:7 -o a.cms gex.cms
    cms-cat --rows 7: -o b.cms gex.cms
    cms-cat a.cms b.cms -o c.cms
    [ "$(digest c.cms)" != "$(digest gex.cms)" ]
    cms-diff --tolerance 0 gex.cms c.cms
    cms-cat --materialize -o d.cms atac.tfidf.cms
    cms-diff --tolerance 0 atac.tfidf.cms d.cms
    cms-text gex.cms | sed 's/^#head\tslot.0.value\tauto/#head\tslot.0.value\tf64/' | cms-text --from | cms-diff --tolerance 0 - gex.cms
    [ -z "$(cms-diff gex.cms gex.cms)" ]
}

@test "a value: row, column, both values, and the count" {
    prepared gex.cms
    cms-text gex.cms >t
    cell=$(cms-text --bare gex.cms | grep -m 1 "$(printf '\tGene00002:')" | cut -f 1)
    was=$(cms-text --triplets gex.cms | awk -F '\t' -v c="$cell" '$1 == c && $2 == "Gene00002" { print $3 }')
    row=$(cms-text --bare gex.cms | cut -f 1 | grep -nx -- "$cell" | cut -d: -f 1)
    sed "/^$cell\t/s/Gene00002:[0-9]*/Gene00002:77/" t | cms-text --from -o a.cms
    differs "slot GEX, row $((row - 1)) ($cell), column 1 (Gene00002): $was and 77" gex.cms a.cms
    grep -q '^1 of [0-9]* values differ, in 1 of 300 rows; the largest difference is' out
    cms-diff --tolerance 100 gex.cms a.cms
    # an entry that is not stored is 0
    sed "/^$cell\t/s/\tGene00002:[0-9]*//" t | cms-text --from -o b.cms
    differs "(Gene00002): $was and 0" gex.cms b.cms
    sed "/^$cell\t/s/Gene00002:[0-9]*/Gene00002:0/" t | cms-text --from -o c.cms
    cms-diff b.cms c.cms
}

@test "names, labels, columns, keys; --ignore-names looks at values alone" {
    prepared gex.cms
    cms-text gex.cms >t
    edited() { sed "$1" t | cms-text --from -o e.cms; }
    edited '0,/^\([ACGT]*\)-1\t/s//\1-9\t/'
    differs "row 0: named" gex.cms e.cms
    cms-diff --ignore-names gex.cms e.cms
    edited 's/Gene00003/Other/'
    differs "column 2: named Gene00003 and Other" gex.cms e.cms
    cms-diff --ignore-names gex.cms e.cms
    edited '0,/\ttrain\tG/s//\ttest\tG/'
    differs "label split: train and test" gex.cms e.cms
    cms-diff --ignore-names gex.cms e.cms
    edited 's/\(#cols\t0\tGene00004\tchr[0-9]*\t\)[0-9]*/\11/'
    differs "column 3 (Gene00004): start is" gex.cms e.cms
    cms-diff --ignore-names gex.cms e.cms
    edited 's/^#head\tslots.*/&\n#head\tsome.key\t1/'
    differs "key some.key: the second has it" gex.cms e.cms
    edited 's/\tcounts$/\tunknown/'
    differs "state counts and unknown" --ignore-names gex.cms e.cms
}

@test "shape and kind" {
    prepared gex.cms e.cms atac.cms
    cms-cat --rows 0:299 -o a.cms gex.cms
    differs "rows: 300 and 299" gex.cms a.cms
    differs "rows: 299 and 300" a.cms gex.cms
    differs "kind: matrix and embedding" gex.cms e.cms
    differs "200 and 400 columns" --ignore-names gex.cms atac.cms
}

@test "models and pairs" {
    prepared model.cms pairs.cms
    cms-diff model.cms model.cms
    cms-text model.cms | awk -F '\t' -v OFS='\t' '!/^#/ && !done { $4 += 1; done = 1 } 1' | cms-text --from -o m.cms
    differs ", item 0: " model.cms m.cms
    grep -qx '1 of [0-9]* values differ; the largest difference is 1' out
    cms-text pairs.cms | sed '0,/^#pick\t\(.*\)\t[0-9]*$/s//#pick\t\1\t0/' | cms-text --from -o p.cms
    differs "mini-batch: epoch 1, step" pairs.cms p.cms
    cms-diff pairs.cms <(cms-text pairs.cms | cms-text --from)
}

@test "damage is an error, also behind a difference" {
    prepared gex.cms atac.cms
    head -c $(($(wc -c <gex.cms) - 100)) gex.cms >cut.cms
    fails 3 cms-diff gex.cms cut.cms
    fails 3 cms-diff atac.cms cut.cms
    fails 3 cms-diff cut.cms atac.cms
}

@test "the same cells from a 10x file and from .h5ad files" {
    need h5-read
    need_data pbmc_multiome_2k/pbmc_arc_layout.h5
    h5-read --to GEX=gex.cms --to ATAC=atac.cms "$DATA/pbmc_multiome_2k/pbmc_arc_layout.h5"
    for m in gex atac; do h5-read "$DATA/pbmc_multiome_2k/$m.h5ad" | cms-diff --ignore-names $m.cms -; done
}
