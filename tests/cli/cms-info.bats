# cms-info: the numbers it prints are those of the stream, and --check is a yes or a no.
load ../helper

value() { awk -F '\t' -v k="$2" '$1 == k { print $2 }' "$1"; }

@test "rows, columns, entries and labels" {
    prepared gex.cms
    cms-info gex.cms >info
    [ "$(value info kind)" = matrix ]
    [ "$(value info rows)" = "$(cms-text --bare gex.cms | wc -l)" ]
    [ "$(value info slot.0.nnz)" = "$(cms-text --triplets gex.cms | wc -l)" ]
    [ "$(value info slot.0.cols)" = 200 ]
    [ "$(value info labels)" = batch,cell_type,split ]
    [ "$(value info label.2.values)" = train,valid,test ]
    [[ $(value info digest) =~ ^[0-9a-f]{16}$ ]]
    awk -F '\t' 'NF != 2 { exit 1 }' info
}

@test "a stream on standard input, several files" {
    prepared gex.cms atac.cms
    cms-info <gex.cms | cmp - <(cms-info gex.cms)
    cms-info - <gex.cms | cmp - <(cms-info gex.cms)
    [ "$(cms-info gex.cms atac.cms | grep -c "^file$(printf '\t')")" = 2 ]
}

@test "provenance and fits are shown; the digest is of the content alone" {
    prepared gex.cms
    lognorm --method sqrt gex.cms | cms-cat -o a.cms
    cms-info a.cms >info
    [ "$(value info provenance.0.tool)" = cms-gen ]
    [ "$(value info provenance.1.tool)" = lognorm ]
    [ "$(value info provenance.1.args)" = "--method sqrt gex.cms" ]
    [ "$(value info provenance.2.tool)" = cms-cat ]
    [ "$(value info slot.0.state)" = sqrt ]
    [ "$(value info slot.0.lazy)" = sqrt ]
    grep -q '^slot.0.fit.method' info
    lognorm --method sqrt --no-provenance -o b.cms gex.cms
    lognorm --method sqrt -o c.cms gex.cms
    [ "$(digest b.cms)" = "$(digest c.cms)" ]
    ! cms-info b.cms | grep -q '^provenance.*lognorm'
}

@test "a model shows its keys and tensors" {
    prepared model.cms
    cms-info model.cms >info
    [ "$(value info kind)" = model ]
    grep -q '^tensor\.' info
    grep -q '^rule\.' info
}

@test "--check" {
    prepared gex.cms
    head -c 5000 gex.cms >cut.cms
    cms-info --check gex.cms | cmp - <(cms-info gex.cms)
    fails 1 cms-info --check cut.cms
    says "cut.cms: "
    [ ! -s fails.out ]
    fails 3 cms-info cut.cms
    fails 4 cms-info --check absent.cms
    fails 1 cms-info --check gex.cms cut.cms
    cat gex.cms gex.cms >two.cms
    fails 1 cms-info --check two.cms
    says "cms-cat"
}
