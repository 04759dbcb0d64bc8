# cms-text: what awk sees, and the way back for every kind, type and odd name.
load ../helper

back() { cms-text "$1" >text && cms-text --from text >back.cms; }

# A stream of odd names, all label types, missing values, doubles.
odd() {
    {
        printf '#cms\t1\n'
        printf '#head\t%s\t%s\n' kind matrix slots 1 slot.0.name GEX slot.0.encoding "$1" slot.0.value "$2" \
            slot.0.cols 4 slot.0.state unknown slot.0.fit.method 'a%25b' labels 5
        local k=0 t
        for t in cat bool i64 f64 str; do
            printf '#head\tlabel.%d.name\tl%%09%s\n#head\tlabel.%d.type\t%s\n' $k $t $k $t
            k=$((k + 1))
        done
        printf '#head\tfree key\tx\n'
        printf '#cols\t0\tname\tchrom:str\tfit.idf:f64\n#cols\t0\t#hash\tchr1\t0.1\n#cols\t0\ta:b\t\t\n'
        printf '#cols\t0\t|bar\tX\t1e-300\n#cols\t0\ttab%%09 \tY\t3\n'
        printf '#dict\tl%%09cat\tordered\tlow\t\thigh\tunused\n#name\n'
        printf '#block\t%s\n' "$3"
        printf '%%23row 1\tlow\ttrue\t-5\t0.1\ttext' && printf '\t%s' "${@:4:4}" && echo
        printf 'b\t%%\tfalse\t9223372036854775807\t1e300\t%%25' && printf '\t%s' "${@:8:4}" && echo
        printf '\t\t\t\t\t' && printf '\t%s' "${@:12:4}" && echo
        printf '#end\n'
    } | sed '/^#/!{s/\t*$//; s/^$/\t\t\t\t\t/}'
}

@test "text and back is the same stream, for every kind" {
    prepared gex.cms atac.tfidf.cms gex.svd.cms pairs.cms model.cms e.cms match.cms similarities.cms
    for f in gex.cms atac.tfidf.cms gex.svd.cms pairs.cms model.cms e.cms match.cms similarities.cms; do
        echo $f
        back $f
        cms-diff --tolerance 0 $f back.cms
        cms-text back.cms | cmp - text
    done
}

@test "odd names, every label type, missing values, f64" {
    odd csr f64 f64 '%23hash:1' 'a:b:0.1' 'tab%09 :123456789.123456789' '%7Cbar:1e-300' 'a:b:-3' '' '' '' '%7Cbar:7' '' '' '' >in.txt
    cms-text --from in.txt -o a.cms
    back a.cms
    cms-diff --tolerance 0 a.cms back.cms
    cms-text back.cms | cmp - text
    [ "$(cms-text --triplets a.cms | head -n 2 | tail -n 1)" = "$(printf '#row 1\ta:b\t0.1')" ]
    cms-text --bare a.cms | grep -qF 'tab%09 :123456789.12345679' # the order of the columns, all digits
    cms-info a.cms >info
    grep -qF "$(printf 'label.0.categories\t4')" info
    [ "$(cms-text --labels a.cms | sed -n 2p)" = "$(printf '%%23row 1\tlow\ttrue\t-5\t0.1\ttext')" ]
    cms-text a.cms | grep -q "$(printf '^#dict\tl%%09cat\tordered\tlow\t\thigh\tunused$')"
}

@test "dense values, f32 printed as f32" {
    odd dense auto f32 0.1 -2 0 1e-30 16777217 0.3333333333333333 1 2 5 6 7 8 >in.txt
    cms-text --from in.txt -o a.cms
    [ "$(cms-text --bare a.cms | sed -n 1p | cut -f 7-)" = "$(printf '0.1\t-2\t0\t1e-30')" ]
    [ "$(cms-text --bare a.cms | sed -n 2p | cut -f 7-)" = "$(printf '16777216\t0.33333334\t1\t2')" ]
    back a.cms
    cms-diff --tolerance 0 a.cms back.cms
    [ "$(cms-text --triplets a.cms | wc -l)" = 12 ]
}

@test "column names that occur twice are numbers" {
    odd csr auto u8 '%23hash:1' 'a:b:2' '' '' '' '' '' '' '' '' '' '' |
        sed 's/^#cols\t0\ta:b/#numbers\t0\n#cols\t0\t#hash/; s/%23hash:1/0:1/; s/a:b:2/1:2/' >in.txt
    cms-text --from in.txt -o a.cms
    cms-text --bare a.cms | head -n 1 | grep -q "$(printf '0:1\t1:2$')"
    back a.cms
    cms-diff --tolerance 0 a.cms back.cms
    grep -v '^#numbers' in.txt >bad.txt
    fails 3 cms-text --from -o x bad.txt
    says "occurs twice"
    [ ! -e x ]
}

@test "rows and values may be edited on the way" {
    prepared gex.cms
    cms-text gex.cms | awk -F '\t' '/^#/ || ++n % 2' | cms-text --from -o half.cms
    cms-cat --names <(cms-text --bare gex.cms | awk 'NR % 2' | cut -f 1) gex.cms | cms-diff --tolerance 0 half.cms -
    cms-text gex.cms | sed 's/\(Gene[0-9]*\):[0-9]*/\1:0.5/g' | cms-text --from | cms-text --triplets | cut -f 3 | sort -u >v
    [ "$(cat v)" = 0.5 ]
    cms-text gex.cms | grep -v '^#block' | cms-text --from | cms-diff gex.cms -
    # entries in any order
    cms-text gex.cms | awk -F '\t' -v OFS='\t' '!/^#/ && NF > 6 { x = $5; $5 = $6; $6 = x } 1' | cms-text --from | cms-diff gex.cms -
}

@test "triplets equal an independent reader of the stream" {
    need python3
    prepared gex.cms
    cat >triplets.py <<'PY'
import cms
for tag, data in cms.records():
    if tag == 'COLS':
        names = [l.split('\t')[0] for l in data[8:].decode().splitlines()[1:]]
    if tag == 'ROWS':
        cells = cms.rows(data, ['cat', 'cat', 'cat'])[1]
    if tag == 'BLOCK':
        b, at = cms.block(data), 0
        for cell, n in zip(cells, b['counts']):
            for k in range(at, at + n):
                print(cell, names[b['columns'][k]], b['values'][k], sep='\t')
            at += n
PY
    PYTHONPATH=$ROOT/pipelines/custom python3 triplets.py <gex.cms >expected
    cms-text --triplets gex.cms | cmp - expected
}

@test "--head and --cols need no more than the beginning" {
    prepared gex.cms
    head -c $(($(wc -c <gex.cms) - 2000)) gex.cms >cut.cms
    cms-text --head cut.cms | diff - <(cms-text --head gex.cms)
    [ "$(cms-text --cols cut.cms | wc -l)" = 201 ]
    cms-text --cols gex.cms | head -n 1 | grep -q "$(printf '^name\tchrom:str\tstart:i64\tend:i64\ttss:i64$')"
    fails 3 cms-text -o out cut.cms
    [ ! -e out ]
}

@test "a text that was cut does not become a stream" {
    prepared gex.cms
    cms-text gex.cms | head -n 300 >cut.txt
    fails 3 cms-text --from -o out cut.txt
    says "without #end"
    [ ! -e out ]
    ! (set -o pipefail; cms-text --from <cut.txt | cms-info - >/dev/null 2>&1)
}

@test "--pairs: a line a cell of a match" {
    {
        printf '#cms\t1\n'
        printf '#head\t%s\t%s\n' kind match slots 1 slot.0.name match slot.0.encoding csr slot.0.value f32 \
            slot.0.cols 3 slot.0.state "${state:=probability}" labels 0
        printf '#cols\t0\tname\n#cols\t0\tt%%09one\n#cols\t0\ttwo\n#cols\t0\tthree\n'
        printf 'a\tt%%09one:0.25\tthree:0.75\n'
        printf 'b\ttwo:1\n'
        printf 'c\n'
        printf 'd%%09\tt%%09one:0.5\ttwo:0.5\n'
        printf '#end\n'
    } >in.txt
    cms-text --from in.txt -o p.cms
    cms-text --pairs p.cms >out
    diff out - <<<"$(printf '%b' 'cell\tpartner\tprobability\tmargin\na\tthree\t0.75\t0.5\nb\ttwo\t1\t1\nc\t\t\t\nd%09\tt%09one\t0.5\t0')"
    sed -i s/probability/similarity/ in.txt
    cms-text --from in.txt -o s.cms
    cms-text --pairs s.cms >out
    [ "$(sed -n 1p out)" = "$(printf 'cell\tpartner\tsimilarity\tmargin')" ]
    [ "$(sed -n 3p out)" = "$(printf 'b\ttwo\t1\t')" ]
    prepared gex.cms
    fails 3 cms-text --pairs gex.cms
    says 'expected a stream of kind match'
}
