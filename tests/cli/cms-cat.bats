# cms-cat: parts make the whole, conditions, columns, dictionaries, fits that must agree.
load ../helper

rows() { cms-text --bare "$1"; }

@test "slices and shards make the whole, from files and pipes" {
    prepared gex.cms atac.cms
    for f in gex.cms atac.cms; do
        cms-cat --rows :97 -o a.cms $f
        cms-cat --rows 97:97 -o b.cms $f
        cms-cat --rows 97: -o c.cms $f
        cms-cat a.cms b.cms c.cms | cms-diff --tolerance 0 - $f
        for i in 1 2 3 4 5 6 7; do cat $f | cms-cat --shard $i/7 -o s$i.cms; done
        cms-cat s?.cms | cms-diff --tolerance 0 - $f
        cms-cat a.cms c.cms | cms-cat --shard 2/3 | cms-diff - <(cms-cat --shard 2/3 $f) # no promised rows
    done
    [ "$(cms-info s1.cms | awk '$1 == "rows" { print $2 }')" = 43 ]
    [ "$(rows b.cms | wc -l)" = 0 ]
}

@test "conditions" {
    prepared gex.cms
    rows gex.cms >all
    cms-cat --where split=test gex.cms | rows - | cmp - <(awk -F '\t' '$4 == "test"' all)
    cms-cat --where split=test,valid gex.cms | rows - | cmp - <(awk -F '\t' '$4 != "train"' all)
    cms-cat --except split=test gex.cms | rows - | cmp - <(awk -F '\t' '$4 != "test"' all)
    cms-cat --where split=train --where cell_type=type1 --except batch=batch2 --rows 10:200 gex.cms | rows - |
        cmp - <(awk -F '\t' 'NR > 10 && NR <= 200 && $4 == "train" && $3 == "type1" && $2 != "batch2"' all)
    shuf -n 20 --random-source=all all | cut -f 1 >names
    cms-cat --names names gex.cms | rows - | cmp - <(awk -F '\t' 'NR == FNR { n[$1]; next } $1 in n' names all)
    echo nobody >>names
    cms-cat --names names gex.cms 2>err >x.cms
    [ "$(cat err)" = "cms-cat: warning: 1 of 21 names in names are not among the rows (the first: 'nobody')" ]
}

@test "--rename gives rows new names; others keep theirs, and all else stays" {
    prepared gex.cms
    cms-text --bare gex.cms | cut -f 1 >names
    head -n 2 names | awk '{ print $1 "\tnew" NR }' >map
    cms-cat --rename map -o out.cms gex.cms
    cms-text --bare out.cms | cut -f 1 | diff - <(echo new1; echo new2; tail -n +3 names)
    cms-diff --ignore-names --tolerance 0 gex.cms out.cms
    head -n 1 names >first
    [ "$(cms-cat --names first --rename map gex.cms | cms-text --bare | cut -f 1)" = new1 ]
    for bad in 'a' 'a\t' '\tb' 'a\tb\tc' 'a\tb\na\tc'; do
        printf "$bad\n" >map
        fails 3 cms-cat --rename map -o x.cms gex.cms
        [ ! -e x.cms ]
    done
}

@test "columns in the order of the list, with what was fitted to them" {
    prepared atac.tfidf.cms
    cms-text --cols atac.tfidf.cms | sed 1d >cols
    shuf -n 50 --random-source=cols cols | cut -f 1 >list
    cms-cat --columns list -o a.cms atac.tfidf.cms
    cms-text --cols a.cms | sed 1d | cmp - <(awk -F '\t' 'NR == FNR { c[$1] = $0; next } { print c[$1] }' cols list)
    diff <(cms-text --triplets a.cms | sort) <(cms-text --triplets atac.tfidf.cms | awk -F '\t' 'NR == FNR { c[$1]; next } $2 in c' list - | sort)
    cms-cat --columns list --materialize -o b.cms atac.tfidf.cms
    cms-diff --tolerance 0 a.cms b.cms
    [ "$(cms-info b.cms | grep -c '^slot.0.lazy')" = 0 ]
    echo nothing >>list
    fails 3 cms-cat --columns list -o c.cms atac.tfidf.cms
    says "no column 'nothing'"
    [ ! -e c.cms ]
}

@test "--shuffle keeps every row, and the seed decides" {
    prepared gex.cms
    cms-cat --shuffle --seed 1 -o a.cms gex.cms
    cms-cat --shuffle --seed 1 -t 1 gex.cms | cms-diff a.cms -
    diff <(rows gex.cms | sort) <(rows a.cms | sort)
    ! cms-diff a.cms gex.cms >/dev/null
    ! cms-cat --shuffle --seed 2 gex.cms | cms-diff a.cms - >/dev/null
    lognorm gex.cms | cms-cat --shuffle --seed 1 | cms-diff - <(lognorm a.cms)
    cms-cat --shuffle --seed 1 --where split=test gex.cms | rows - | sort | cmp - <(cms-cat --where split=test gex.cms | rows - | sort)
}

@test "blocks of many rows lose none at their ends" {
    cms-gen --gex g.cms --atac a.cms --cells 1100 --genes 8 --peaks 8
    rows g.cms >all
    [ "$(wc -l <all)" = 1100 ]
    cms-cat --shuffle g.cms | rows - | sort | cmp - <(sort all)
    sed -n 1,511p all | cut -f 1 >names
    cms-cat --names names g.cms | rows - | cmp - <(sed -n 1,511p all)
    cms-cat --rows 1:1100 g.cms | rows - | cmp - <(sed 1d all)
}

@test "labels and dictionaries of several inputs are merged" {
    prepared gex.cms
    cms-cat --rows 0:3 gex.cms | cms-text | sed 's/batch1/other/; s/^\(#head\tlabel.1.name\t\)cell_type/\1kind/; s/#dict\tcell_type/#dict\tkind/' |
        sed '/^#dict\tbatch/s/.*/#dict\tbatch\tplain\tother/; s/^\([ACGT]*-1\)\tbatch1/\1\tother/' | cms-text --from -o a.cms
    cms-cat --rows 298: -o b.cms gex.cms
    cms-cat a.cms b.cms -o c.cms
    [ "$(cms-text --labels c.cms | head -n 1)" = "$(printf 'name\tbatch\tkind\tsplit\tcell_type')" ]
    [ "$(cms-text --labels c.cms | cut -f 2 | tr '\n' ' ')" = "batch other other other batch4 batch4 " ]
    cms-text --labels c.cms | awk -F '\t' 'NR > 1 && NR < 5 && ($3 == "" || $5 != "") { exit 1 } NR > 4 && ($3 != "" || $5 == "") { exit 1 }'
    cms-cat b.cms a.cms --shuffle --seed 4 | cms-text --labels | sed 1d | sort >x
    cms-cat b.cms a.cms | cms-text --labels | sed 1d | sort | cmp - x
}

@test "what does not fit together is refused" {
    prepared gex.cms atac.cms gex.log.cms model.cms pairs.cms
    fails 3 cms-cat gex.cms atac.cms -o x.cms
    says "expected GEX, found ATAC"
    fails 3 cms-cat gex.cms gex.log.cms -o x.cms
    says "expected counts, found lognorm"
    for m in train test; do cms-cat --where split=$m gex.cms | lognorm --method sqrt -o $m.cms; done
    fails 3 cms-cat train.cms test.cms -o x.cms
    says "fit"
    lognorm --like train.cms -o test2.cms <(cms-cat --where split=test gex.cms)
    cms-cat train.cms test2.cms >/dev/null
    for m in train test; do cms-cat --where split=$m atac.cms | tfidf -o $m.cms; done
    fails 3 cms-cat train.cms test.cms -o x.cms
    cms-text gex.cms | sed 's/Gene00002/GeneX/g' | cms-text --from -o g.cms
    fails 3 cms-cat gex.cms g.cms -o x.cms
    says "column 1: expected Gene00002, found GeneX"
    fails 3 cms-cat model.cms -o x.cms
    fails 3 cms-cat pairs.cms -o x.cms
    [ ! -e x.cms ]
}

@test "matches and embeddings pass" {
    prepared match.cms e.cms
    for f in match.cms e.cms; do
        cms-cat --shard 1/2 -o a.cms $f
        cms-cat --shard 2/2 -o b.cms $f
        cms-cat a.cms b.cms | cms-diff --tolerance 0 - $f
    done
}

@test "the components of svd stay with the rows, shuffled and put together" {
    prepared gex.svd.cms gex.log.cms
    cms-cat --shuffle -o mixed.cms gex.svd.cms
    svd --like mixed.cms gex.log.cms | cms-diff --tolerance 0 gex.svd.cms -
    cms-cat --shard 1/2 -o a.cms gex.svd.cms
    cms-cat --shard 2/2 -o b.cms gex.svd.cms
    cms-cat a.cms b.cms | cms-diff --tolerance 0 gex.svd.cms -
    cms-cat a.cms b.cms >ab.cms
    svd --like ab.cms gex.log.cms | cms-diff --tolerance 0 gex.svd.cms -
    # the same values, other loadings: the last name of svd.features
    cms-text b.cms | sed "/^#tensor\tsvd.features/s/[0-9]*\$/1/" | cms-text --from -o c.cms
    fails 3 cms-cat a.cms c.cms -o x.cms
    says 'tensor svd.features differs'
}

@test "a label that is said twice is refused" {
    prepared gex.cms
    cms-text gex.cms | sed 's/^\(#head\tlabel\.1\.name\t\).*/\1cell_type/;s/^\(#head\tlabel\.0\.name\t\).*/\1cell_type/' >x.tsv
    fails 3 cms-text --from -o x.cms x.tsv
    says 'label cell_type occurs twice'
}
