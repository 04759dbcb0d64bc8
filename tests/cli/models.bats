#!/usr/bin/env bats
# Models written by earlier versions: they load, and embed cells as they did.
#
# tests/ref/models.tar.zst has a small model of every preset (NAME.cms), twelve cells (gex.cms,
# atac.cms), what the models make of them (NAME.e.cms, NAME.t.cms), and keys.tsv: preset, key and
# value of all hyper-parameters of a model with a preset's defaults.  Streams in it are not compressed.
# Processors differ in the last bits of a matrix product: probe.cms, a decomposition of gex.cms, tells
# whether this one gives the bits of the archive, and then the embeddings must, too.

load ../helper

setup_file() {
    cd "$BATS_FILE_TMPDIR" || exit 1
    zstd -dqc "$REF/models.tar.zst" | tar -xf -
    for f in *.cms; do zstd -qc "$f" >x && mv x "$f"; done
}
setup() {
    scratch
    ln -s "$BATS_FILE_TMPDIR"/* .
}

@test "a model of every preset embeds as when it was written" {
    tolerance=1e-6
    svd -k 4 -o probe.now gex.cms
    [ "$(digest probe.now)" != "$(digest probe.cms)" ] || tolerance=0
    for name in linear best attn cross paper authors small novel matchclot cca ridge procrustes clue; do
        cms-info --check $name.cms
        embed --model $name.cms gex.cms | cms-diff --tolerance $tolerance $name.e.cms - || { echo $name && false; }
        embed --model $name.cms atac.cms | cms-diff --tolerance $tolerance $name.t.cms - || { echo $name && false; }
    done
}

# Settings that training lowers to what the cells allow, or that come from batch, are not a preset's.
as_trained() { awk -F '\t' -v OFS='\t' -v p="$1" '$1 == p && $2 !~ /^hp\.(k|q|batch|within)$/ { print $2, $3 }' keys.tsv; }
# Presets that once had no patience, and learned links for 100 steps.
as_today() { as_trained "$1" | sed -e 's/^hp\.patience	0$/hp.patience	12/' -e 's/^hp\.links\.steps	100$/hp.links.steps	50/'; }
# Models did not record the tolerance of the decomposition once.
shown() { grep '^hp' "$1" | grep -vE '^hp\.(k|q|lsi\.tolerance)	'; }

# Once the perceptrons and the autoencoder recorded a ridge that they did not use.
without_cca() { as_trained "$1" | grep -v '^hp\.ridge	'; }

@test "--show: the settings, one by one and in their order, are those that models were given" {
    for p in linear paper authors; do
        xattn-train --preset $p --show >show
        cmp <(as_trained $p) <(shown show)
    done
    for p in best attn; do
        xattn-train --preset $p --show >show
        cmp <(as_today $p) <(shown show)
    done
    xattn-train --preset attn --cross --show >show
    cmp <(as_today attn-cross) <(shown show)
    cmp <(xattn-train --preset closed --show | grep -v ^hp.preset) \
        <(xattn-train --preset linear --lsi-scale 0.6 --lsi-tolerance 1e-4 --links yes --show | grep -v ^hp.preset |
            sed '/^prepare.atac/s/$/ --scale 300/')
    for p in small novel matchclot; do
        mlp-train --preset $p --show >show
        cmp <(without_cca $p) <(shown show)
    done
    for p in cca ridge procrustes; do
        cca-train --method $p --show >show
        cmp <(as_trained $p) <(shown show)
    done
    clue-train --show >show
    cmp <(without_cca clue) <(shown show)
}

@test "the singular vectors of linear and of cca-train settle at 1e-3, those of all others at 1e-4" {
    tolerance() { "$@" --show | awk -F '\t' '$1 == "hp.lsi.tolerance" { print $2 }'; }
    for p in closed best attn; do [ "$(tolerance xattn-train --preset $p)" = 0.0001 ]; done
    for p in small novel matchclot; do [ "$(tolerance mlp-train --preset $p)" = 0.0001 ]; done
    for p in cca ridge procrustes; do [ "$(tolerance cca-train --method $p)" = 0.001 ]; done
    [ "$(tolerance xattn-train --preset linear)" = 0.001 ] && [ "$(tolerance clue-train)" = 0.0001 ]
    [ -z "$(tolerance xattn-train --preset paper)" ]
    fails 2 xattn-train --preset linear --lsi-tolerance 0 --show
    says lsi-tolerance
}

@test "--show follows the options, needs no input, and writes where -o says" {
    xattn-train --preset best --lr 0.5 --mlp-hidden 7 --seed 9 --no-cis --show -o show
    for kv in lr=0.5 mlp.hidden=7 seed=9 cis=0 k=50; do
        grep -qx "hp.${kv%%=*}	${kv#*=}" show || { echo "$kv" && false; }
    done
    xattn-train --preset authors --tokens ATAC.kernel=9 --show | grep -qx 'hp.tokens.ATAC.kernel	9'
    mlp-train --layers GEX=5:6,7:.5,0.25 --show | grep -qx 'hp.deep.GEX.dropout	0.5,0.25'
    cca-train --method ridge -k 30 --show | grep -qx 'hp.q	30'
    fails 2 xattn-train --preset linear --mlp-hidden 7 --show
    fails 2 xattn-train --preset attn --tokens heads=0 --show
    # a checkpoint or a model to begin from has a say, too
    xattn-train --preset best --init linear.cms --show | grep -qx 'hp.k	8'
}

@test "--show tells the arguments of lognorm, tfidf and batch, which these take" {
    for show in 'xattn-train --preset linear' 'xattn-train --preset best' 'xattn-train --preset authors' \
        'mlp-train --preset novel' cca-train clue-train; do
        $show --show >show
        want() { awk -F '\t' -v k="$1" '$1 == k { print $2 }' show; }
        [ "$(want schedule.large.above)" = 4096 ]
        [ "$(want schedule.huge.above)" = 32768 ]
        # shellcheck disable=SC2046
        cms-gen --cells 40 --genes 20 --peaks 30 --gex g.raw --atac a.raw
        # shellcheck disable=SC2046
        lognorm $(want prepare.gex) -o g.now g.raw
        # shellcheck disable=SC2046
        tfidf $(want prepare.atac) -o a.now a.raw
        for schedule in schedule schedule.large schedule.huge; do
            # shellcheck disable=SC2046
            batch $(want $schedule) -o p.now g.now a.now
        done
    done
}

@test "a tensor without values is refused, whatever the sizes of the others" {
    prepared model.cms gex.log.cms
    cms-text model.cms >model.txt
    for tensor in GEX.mean GEX.v GEX.s GEX.p cca.corr cis.gene.feature cis.gene.h cis.peak.sd cis.pair.gene cis.pair.c cis.mu \
        cis.candidate.c cis.candidate.cells; do
        # the last of its sizes becomes 0
        awk -F '\t' -v OFS='\t' -v t=$tensor '$1 == t { sub(/[0-9]+$/, "0", $3); print $1, $2, $3; next } 1' model.txt |
            cms-text --from -o empty.cms
        fails 3 embed --model empty.cms gex.log.cms
        says "empty.cms: tensor $tensor"
    done
}
