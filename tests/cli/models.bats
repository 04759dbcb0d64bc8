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
