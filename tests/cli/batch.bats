#!/usr/bin/env bats
# batch: who is paired with whom, who is trained on, and in what order.

load ../helper

setup() {
    scratch
    need cms-gen cms-text
    cms-gen --gex g.cms --atac a.cms --cells 120 --genes 40 --peaks 60 --batches 4
}

# edit IN OUT AWK: a stream through its text form; in AWK the rows are lines that do not begin with #.
edit() { cms-text "$1" | awk -F '\t' -v OFS='\t' "$3" | cms-text --from -o "$2"; }
backwards='/^#/ && !/^#(block|end)/ { print; next } /^#block/ { next } /^#end/ { for (k = n; k; k--) print row[k]; print; next } { row[++n] = $0 }'
key() { cms-text --head "$1" | awk -F '\t' -v k="$2" '$1 == k { print $2 }'; }
rows() { cms-text "$1" | grep -v '^#'; }
picks() { cms-text "$1" | grep '^#pick' || true; }

@test "cells are joined by name, whatever the order of either side" {
    batch --size 16 --epochs 1 -o p.cms g.cms a.cms
    edit a.cms back.cms "$backwards"
    [ "$(cms-text --bare back.cms | head -n 1 | cut -f 1)" = "$(cms-text --bare a.cms | tail -n 1 | cut -f 1)" ]
    batch --size 16 --epochs 1 -o q.cms g.cms back.cms
    [ "$(digest p.cms)" = "$(digest q.cms)" ]
    # each row holds what the two inputs hold of that cell
    rows p.cms | awk -F '\t' '{ split($0, part, /\t\|[A-Z]+/); print $1 part[2] }' | sort >got
    cms-text --bare g.cms | awk -F '\t' '$4 != "test"' | cut -f 1,5- | sort >want
    cmp got want
    rows p.cms | awk -F '\t' '{ split($0, part, /\t\|[A-Z]+/); print $1 part[3] }' | sort >got
    cms-text --bare a.cms | awk -F '\t' '$4 != "test"' | cut -f 1,5- | sort >want
    cmp got want
}

@test "training cells in the first operand's order, then validation cells, never test cells" {
    batch --epochs 0 -o p.cms g.cms a.cms
    rows p.cms | cut -f 1 >got
    { cms-text --bare g.cms | awk -F '\t' '$4 == "train"'; cms-text --bare g.cms | awk -F '\t' '$4 == "valid"'; } |
        cut -f 1 >want
    cmp got want
    [ "$(key p.cms train_rows)" = "$(cms-text --bare g.cms | awk -F '\t' '$4 == "train"' | wc -l)" ]
    [ "$(key p.cms valid_rows)" = "$(cms-text --bare g.cms | awk -F '\t' '$4 == "valid"' | wc -l)" ]
    [ "$(key p.cms kind)" = pairs ]
    [ -z "$(picks p.cms)" ]
    [ "$(cms-text p.cms | awk -F '\t' '/^#batch/ { print $2 "," $4 }' | sort -u | tr '\n' ' ')" = "0,0 0,1 " ]
}

@test "--valid names other validation cells; test cells stay out" {
    batch --epochs 0 --valid batch=batch1 -o p.cms g.cms a.cms
    [ "$(key p.cms valid_rows)" = "$(cms-text --bare g.cms | awk -F '\t' '$2 == "batch1"' | wc -l)" ]
    rows p.cms | awk -F '\t' '$4 == "test" { exit 1 }'
    fails 3 batch --epochs 0 --valid nolabel=1 -o x.cms g.cms a.cms
    says nolabel
    fails 2 batch --valid nonsense -o x.cms g.cms a.cms
    [ ! -e x.cms ]
}

@test "without a label split every pair is trained on" {
    edit g.cms plain.cms '{ gsub(/split/, "part") } 1'
    batch --epochs 0 -o p.cms plain.cms a.cms
    [ "$(key p.cms train_rows)" = 120 ]
    [ "$(key p.cms valid_rows)" = 0 ]
}

@test "cells without a partner are counted, and not an error" {
    edit a.cms some.cms '/^#/ || ++n <= 100'
    batch --epochs 0 -o p.cms g.cms some.cms 2>err
    grep -q 'g.cms: 20 of 120 cells have no partner' err
    [ "$(grep -c warning err)" = 1 ]
    rows p.cms | cut -f 1 | sort >got
    cms-text --bare some.cms | awk -F '\t' '$4 != "test" { print $1 }' | sort >want
    cmp got want
    edit a.cms none.cms '!/^#/ { $1 = "x" NR } 1'
    fails 3 batch -o x.cms g.cms none.cms
    says 'no cell of g.cms has a namesake in none.cms'
    edit a.cms twice.cms '!/^#/ && ++n == 7 { $1 = first } n == 1 { first = $1 } 1'
    fails 3 batch -o x.cms g.cms twice.cms
    says "twice.cms: the cell name '$(cms-text --bare a.cms | head -n 1 | cut -f 1)' occurs twice"
    fails 3 batch -o x.cms g.cms g.cms
    says 'both hold slot GEX'
}

@test "--by-position and --pairs" {
    # a.cms in the order of g.cms, under other names
    cms-text --bare g.cms | cut -f 1 >order
    cms-text a.cms | awk -F '\t' -v OFS='\t' 'NR == FNR { name[++n] = $1; next } /^#end/ {
        for (k = 1; k <= n; k++) { $0 = row[name[k]]; $1 = "cell" k; print } print "#end"; next }
        /^#block/ { next } /^#/ { print; next } { row[$1] = $0 }' order - | cms-text --from -o other.cms
    batch --epochs 0 -o q.cms g.cms a.cms
    batch --epochs 0 --by-position -o p.cms g.cms other.cms
    [ "$(digest p.cms)" = "$(digest q.cms)" ]
    { printf 'gex\tatac\n'; paste order <(cms-text --bare other.cms | cut -f 1) | sort; } >t.tsv
    batch --epochs 0 --pairs t.tsv -o p.cms g.cms other.cms
    [ "$(digest p.cms)" = "$(digest q.cms)" ]
    { printf 'row1\trow2\n'; seq 0 119 | awk '{ print $1 "\t" $1 }'; } >n.tsv
    batch --epochs 0 --pairs n.tsv -o p.cms g.cms other.cms
    [ "$(digest p.cms)" = "$(digest q.cms)" ]
    printf 'row1\trow2\n0\t500\n' >bad.tsv
    fails 3 batch --pairs bad.tsv -o x.cms g.cms other.cms
    says bad.tsv
    edit a.cms fewer.cms '/^#/ || ++n <= 100'
    fails 3 batch --by-position -o x.cms g.cms fewer.cms
    says 120
    fails 2 batch --by-position --pairs n.tsv -o x.cms g.cms a.cms
}

@test "the schedule: every training cell once an epoch, shuffled, the same for one seed" {
    batch --size 16 --epochs 3 -o p.cms g.cms a.cms
    n=$(key p.cms train_rows) steps=$(key p.cms batch.steps_per_epoch)
    [ "$steps" = $(((n + 15) / 16)) ]
    picks p.cms >picks
    [ "$(wc -l <picks)" = $((3 * steps)) ]
    for e in 1 2 3; do
        awk -F '\t' -v e=$e '$2 == e { for (k = 4; k <= NF; k++) print $k }' picks >rows.$e
        sort -n rows.$e | cmp - <(seq 0 $((n - 1)))
    done
    run cmp -s rows.1 rows.2
    [ "$status" = 1 ]
    run sort -nc rows.1
    [ "$status" = 1 ]
    awk -F '\t' '{ print $3 }' picks | cmp - <(seq 0 $((3 * steps - 1)))
    awk -F '\t' -v s="$steps" '$3 % s < s - 1 && NF != 3 + 16 { exit 1 }' picks
    batch --size 16 --epochs 3 --seed 7 -o q.cms g.cms a.cms
    picks q.cms >other
    run cmp -s picks other
    [ "$status" = 1 ]
    batch --size 16 --epochs 3 --start-step 5 -o q.cms g.cms a.cms
    cmp <(tail -n +6 picks) <(picks q.cms)
    batch --size 0 --epochs 1 -o q.cms g.cms a.cms
    [ "$(picks q.cms | awk -F '\t' '{ print NF - 3 }')" = "$n" ]
}

@test "--within: a mini-batch holds one value of the label" {
    batch --size 10 --epochs 2 --within cell_type -o p.cms g.cms a.cms
    [ "$(key p.cms batch.within)" = cell_type ]
    rows p.cms | cut -f 3 >type
    picks p.cms | awk -F '\t' 'NR == FNR { type[n++] = $1; next }
        { for (k = 5; k <= NF; k++) if (type[$k] != type[$4]) exit 1 }' type -
    picks p.cms | awk -F '\t' '$2 == 1 { for (k = 4; k <= NF; k++) print $k }' | sort -n |
        cmp - <(seq 0 $(($(key p.cms train_rows) - 1)))
    fails 3 batch --within nolabel -o x.cms g.cms a.cms
    says nolabel
}

@test "lazy factors and fitted vectors travel" {
    lognorm --method sqrt -o gn.cms g.cms
    tfidf --method logtfidf -o an.cms a.cms
    batch --epochs 0 -o p.cms gn.cms an.cms
    [ "$(key p.cms slot.0.state)" = sqrt ]
    [ "$(key p.cms slot.1.state)" = tfidf ]
    [ "$(key p.cms slot.1.fit.method)" = logtfidf ]
    cms-text --cols p.cms | grep -q fit.col
    rows p.cms | awk -F '\t' '{ split($0, part, /\t\|[A-Z]+/); print $1 part[2] }' | sort >got
    cms-text --bare gn.cms | awk -F '\t' '$4 != "test"' | cut -f 1,5- | sort >want
    cmp got want
}

@test "same bytes for any thread count and from a pipe" {
    batch --size 8 -t 1 -o p.cms g.cms a.cms
    batch --size 8 -t 4 --no-provenance - a.cms <g.cms >q.cms
    [ "$(digest p.cms)" = "$(digest q.cms)" ]
}

@test "a trainer that goes away is no failure" {
    set -o pipefail
    batch --size 4 --epochs 100000 g.cms a.cms | head -c 1000 >part
}

@test "--max-memory: what is beyond goes to a file; same bytes, and the bound holds" {
    batch --no-provenance --size 16 -v -o p.cms g.cms a.cms 2>err
    grep -q 'memory: at most 1024.0 MiB for the cells' err
    grep -q '; 0.0 MiB in TMPDIR' err
    mkdir spool
    TMPDIR=$PWD/spool batch --no-provenance --size 16 --max-memory 24K -v -o q.cms g.cms a.cms 2>err
    cmp p.cms q.cms
    [ -z "$(ls -A spool)" ]
    TMPDIR=$PWD/none fails 4 batch --max-memory 24K -o x.cms g.cms a.cms
    says TMPDIR || says none
    fails 4 batch --max-memory 4K -o x.cms g.cms a.cms
    says 'names, labels and the schedule of the cells take'
    [ ! -e x.cms ]
    cms-gen --gex G.cms --atac A.cms --cells 1500 --genes 40 --peaks 20000 --nnz-atac 2000 --nnz-gex 20
    for size in 1G 2M; do
        batch --epochs 1 --max-memory $size -v -o $size.cms G.cms A.cms 2>err
        # a sanitizer's memory is its own
        awk -v san="$([ "${MODE:-release}" = release ] || echo 1)" '
            /memory: at most .* of which/ { bound = $5; cells = $9 }
            /MiB of memory at the peak/ { peak = $(NF - 6) }
            END { print cells, bound, peak; exit !(bound > 0 && peak > 0 && (san || peak <= bound)) }' err >>cells
    done
    [ "$(digest 1G.cms)" = "$(digest 2M.cms)" ]
    awk 'NR == 1 { all = $1 } NR == 2 { exit !($1 <= 2 && all > 10) }' cells
}
