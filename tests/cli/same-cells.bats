#!/usr/bin/env bats
# What a training says when its inputs may not be what they should be: names that are mere numbers,
# a validation at chance, counts that nobody normalised.
load ../helper

# numbered FILE OUT: its cells renamed to 0, 1, 2 ...
numbered() {
    cms-text --bare "$1" | cut -f 1 | awk '{ print $1 "\t" NR - 1 }' >names.tsv
    cms-cat --rename names.tsv -o "$2" "$1"
}

@test "batch: names that are mere numbers are doubted, unless something else says who is who" {
    prepared gex.cms atac.cms
    numbered gex.cms g.cms
    numbered atac.cms a.cms
    batch --epochs 0 -o p.cms g.cms a.cms 2>err
    grep -q "batch: warning: g.cms, a.cms: the cells' names are mere numbers.*--by-position or --pairs" err
    batch --epochs 0 --by-position -o q.cms g.cms a.cms 2>err
    [ "$(grep -c 'mere numbers' err)" = 0 ]
    { printf 'row1\trow2\n' && cut -f 2 names.tsv | awk '{ print $1 "\t" $1 }'; } >pairs.tsv
    batch --epochs 0 --pairs pairs.tsv -o q.cms g.cms a.cms 2>err
    [ "$(grep -c 'mere numbers' err)" = 0 ]
    batch --epochs 0 -o q.cms gex.cms atac.cms 2>err
    [ "$(grep -c 'mere numbers' err)" = 0 ]
}

@test "score: names that are mere numbers ask for --pairs, and two of them are named" {
    prepared match.cms
    cms-text --bare match.cms | cut -f 1 | awk '{ print $1 "\t" NR + 6 }' >names.tsv
    cms-cat --rename names.tsv -o m.cms match.cms
    fails 3 score m.cms
    says "mere numbers ('7' and '"
    says '--pairs FILE says which are'
}

@test "trainers doubt the pairs where validation is at chance" {
    cms-gen --cells 600 --genes 300 --peaks 600 --gex gex.cms --atac atac.cms # shuffled
    lognorm --method sqrt -o g.cms gex.cms
    tfidf --method logtfidf -o a.cms atac.cms
    for tool in "xattn-train --preset linear" cca-train; do
        batch -q --epochs 0 g.cms a.cms | $tool -o m.cms 2>err
        [ "$(grep -c 'at chance' err)" = 0 ]
        batch -q --epochs 0 --by-position g.cms a.cms | $tool -o m.cms 2>err
        grep -q "^${tool%% *}: warning: validation is at chance (match probability .*): are the rows" err
    done
}

@test "few validation cells, or none, prove nothing" {
    cms-gen --cells 600 --genes 300 --peaks 600 --gex gex.cms --atac atac.cms
    lognorm --method sqrt gex.cms | cms-cat --where split=train,valid -o g.cms
    cms-text --bare g.cms | awk -F '\t' '$4 == "valid" && ++n <= 20 || $4 == "train" { print $1 }' >some
    cms-cat --names some -o few.cms g.cms
    tfidf --method logtfidf atac.cms | cms-cat --names some -o a.cms
    batch -q --epochs 0 --by-position few.cms a.cms | cca-train -o m.cms 2>err
    [ "$(grep -c 'at chance' err)" = 0 ]
}

@test "trainers warn of counts that are not normalised, on either side" {
    prepared gex.cms atac.cms gex.log.cms atac.tfidf.cms
    for tool in "xattn-train --preset linear" cca-train "mlp-train" "clue-train"; do
        batch -q --epochs 1 gex.cms atac.tfidf.cms | $tool -o m.cms 2>err
        grep -q "^${tool%% *}: warning: stdin: slot GEX holds counts.* run lognorm before batch" err
        [ "$(grep -c 'slot ATAC holds counts' err)" = 0 ]
    done
    batch -q --epochs 0 gex.log.cms atac.cms | cca-train -o m.cms 2>err
    grep -q '^cca-train: warning: stdin: slot ATAC holds counts.* run tfidf before batch' err
    [ "$(grep -c 'slot GEX holds counts' err)" = 0 ]
    batch -q --epochs 0 gex.log.cms atac.tfidf.cms | cca-train -o m.cms 2>err
    [ "$(grep -c 'holds counts' err)" = 0 ]
}
