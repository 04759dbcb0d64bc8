# holdout: the label as other tools see it, both modalities alike, chains, warnings.
load ../helper

# split FILE: name and label of each row, sorted by name.
split() {
    cms-text "$1" | awk -F '\t' '/^#name/ { for (k = 2; k <= NF; k++) if ($k == "split") at = k } !/^#/ { print $1, $at }' | sort
}
count() { split "$1" | awk -v w="$2" '$2 == w { n++ } END { print n + 0 }'; }

@test "exactly the fraction, alike in both modalities and in any order" {
    prepared gex.cms atac.cms
    holdout --fresh --fraction 0.25 --seed 5 -o g.cms gex.cms
    [ "$(count g.cms test)" = 75 ]
    [ "$(count g.cms train)" = 225 ]
    cms-cat --shuffle --seed 3 atac.cms | holdout --fresh --fraction 0.25 --seed 5 -o a.cms
    diff <(split g.cms) <(split a.cms)
    holdout --fresh --fraction 0.25 --seed 6 -o h.cms gex.cms
    [ "$(split g.cms)" != "$(split h.cms)" ]
    cat gex.cms | holdout --fresh --fraction 0.25 --seed 5 | cms-diff g.cms -
}

@test "nothing but the label changes" {
    prepared gex.cms
    holdout --fresh --fraction 0.25 -o g.cms gex.cms
    diff <(cms-text --triplets gex.cms) <(cms-text --triplets g.cms)
    strip() { cms-text --bare "$1" | awk -F '\t' '{ print $1, $2, $3 }'; }
    diff <(strip gex.cms) <(strip g.cms)
}

@test "chains free nobody" {
    prepared gex.cms
    holdout --fresh --by batch=batch4 gex.cms | holdout --fraction 0.1 --name valid -o g.cms
    test=$(count g.cms test) valid=$(count g.cms valid) train=$(count g.cms train)
    [ "$test" = "$(cms-text --bare gex.cms | cut -f 2 | grep -c batch4)" ]
    [ "$valid" = "$(awk -v n=$((300 - test)) 'BEGIN { print int(n / 10 + 0.5) }')" ]
    [ $((test + valid + train)) = 300 ]
    cms-cat --where batch=batch4 g.cms >b.cms
    [ "$(count b.cms test)" = "$test" ]
    # without --fresh the generated label counts: its test cells stay
    before=$(count gex.cms test)
    [ "$before" -gt 0 ]
    holdout --fraction 0.5 --name valid -o h.cms gex.cms
    [ "$(count h.cms test)" = "$before" ]
}

@test "warnings: nobody held out, nobody left" {
    prepared gex.cms
    holdout --by batch=nobody -o g.cms gex.cms 2>err
    [ "$(cat err)" = 'holdout: warning: gex.cms: --by: no row has batch "nobody"
holdout: warning: no cell is held out' ]
    holdout --by split=train,valid,test -o g.cms gex.cms 2>err
    [ "$(cat err)" = "holdout: warning: no cell is left in training" ]
    cms-cat --where batch=nobody gex.cms | holdout --fraction 0.5 -o none.cms
    cms-info --check none.cms >/dev/null
}
