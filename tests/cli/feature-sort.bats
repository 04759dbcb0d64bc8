# feature-sort: order and places as other tools see them; fitted vectors follow their columns.
load ../helper

# table LINES...: a stream of two cells from "name TAB chrom ..." lines ($types in the head); cell one
# holds k in column k, cell two nothing.
table() {
    local types=$1 n line
    shift
    n=$#
    {
        printf '#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t1\n#head\tslot.0.name\tGEX\n#head\tslot.0.encoding\tcsr\n'
        printf '#head\tslot.0.value\tauto\n#head\tslot.0.cols\t%s\n#head\tslot.0.state\tcounts\n#head\tlabels\t0\n' "$n"
        printf '#cols\t0\tname%s\n' "${types:+	$types}"
        for line; do printf '#cols\t0\t%s\n' "$line"; done
        printf '#name\tcolumn:value ...\n'
        printf 'one'
        n=0
        for line; do printf '\t%s:%s' "${line%%	*}" $((n += 1)); done
        printf '\ntwo\n#end\n'
    } | cms-text --from
}
names() { cms-text --cols "$1" | awk -F '\t' 'NR > 1 { printf "%s%s", sep, $1; sep = " " }'; }
values() { cms-text --bare "$1" | sed -n 1p | tr '\t' '\n' | sed -n '2,$s/.*://p' | tr '\n' ' '; }

@test "peaks by name, natural and lexicographic, from a file, by first appearance" {
    table '' chr10:5-9 chrX:1-2 chr2-7-8 chr2_3_9 chrUn_K1:0-5 >in.cms
    feature-sort -o n.cms in.cms
    [ "$(names n.cms)" = "chr2_3_9 chr2-7-8 chr10:5-9 chrX:1-2 chrUn_K1:0-5" ]
    [ "$(values n.cms)" = "4 3 1 2 5 " ]
    [ "$(cms-text --cols n.cms | sed -n 1p)" = $'name\tchrom:str\tstart:i64\tend:i64' ]
    [ "$(cms-text --cols n.cms | sed -n 2p)" = $'chr2_3_9\tchr2\t3\t9' ]
    [ "$(names <(feature-sort --order lexicographic in.cms))" = "chr10:5-9 chr2_3_9 chr2-7-8 chrUn_K1:0-5 chrX:1-2" ]
    [ "$(names <(feature-sort --order input in.cms))" = "chr10:5-9 chrX:1-2 chr2_3_9 chr2-7-8 chrUn_K1:0-5" ]
    printf '#x\nchrX\t9\nchr2\n' >order
    [ "$(names <(feature-sort --order file:order in.cms))" = "chrX:1-2 chr2_3_9 chr2-7-8 chr10:5-9 chrUn_K1:0-5" ]
    [ "$(names <(feature-sort --order file:order --unplaced drop in.cms))" = "chrX:1-2 chr2_3_9 chr2-7-8" ]
    fails 3 feature-sort --order file:order --unplaced error in.cms
    says '"chr10:5-9" has no position'
    feature-sort n.cms | cms-diff n.cms -
}

@test "genes by columns; --by; --unplaced" {
    table $'chrom:str\tstart:i64\tend:i64\ttss:i64' $'a\tchr2\t5\t9\t8' $'b\tchr1\t7\t\t' $'c\t\t\t\t' $'d\tchr2\t4\t40\t39' >in.cms
    [ "$(names <(feature-sort in.cms))" = "b d a c" ]
    [ "$(names <(feature-sort --by mid in.cms))" = "b a d c" ]
    [ "$(names <(feature-sort --by tss in.cms))" = "b a d c" ]
    [ "$(names <(feature-sort --unplaced drop in.cms))" = "b d a" ]
    [ "$(values <(feature-sort --unplaced drop in.cms))" = "2 4 1 " ]
    fails 3 feature-sort --unplaced error -o out.cms in.cms
    says '"c"'
    [ ! -e out.cms ]
    feature-sort --chr-style ensembl in.cms | cms-text --cols - | cut -f 1,2 | sed -n 2,4p | tr '\t\n' '  ' | grep -qx 'b 1 d 2 a 2 '
}

@test "genes by annotation, from BED, GTF and GFF3, gzipped" {
    table 'gene_ids:str' $'A\tENSG1' $'B\tENSG2.7' $'C\tENSG3' >in.cms
    printf 'chr3\t10\t20\tA\t0\t-\nchr1\t5\t9\tB\t0\t+\n' >g.bed
    printf '#!x\nchr3\th\tgene\t11\t20\t.\t-\t.\tgene_id "ENSG1.2"; gene_name "A";\nchr1\th\tgene\t6\t9\t.\t+\t.\tgene_id "ENSG2.1"; gene_name "other";\n' >g.gtf
    printf 'chr3\th\tgene\t11\t20\t.\t-\t.\tID=gene:ENSG1;Name=A\nchr1\th\tgene\t6\t9\t.\t+\t.\tID=gene:ENSG2;Name=B\n' | gzip >g.gff3.gz
    for f in g.bed g.gtf g.gff3.gz; do
        feature-sort --annotation $f -o out.cms in.cms
        [ "$(cms-text --cols out.cms | tr '\t\n' ' ;')" = "name gene_ids:str chrom:str start:i64 end:i64 tss:i64;B ENSG2.7 chr1 5 9 5;A ENSG1 chr3 10 20 19;C ENSG3    ;" ]
    done
    table '' X Y Z >other.cms
    fails 3 feature-sort --annotation g.bed other.cms
    says 'g.bed knows 0 of 3 features'
}

@test "nothing has a position: the order stays, with a warning" {
    table '' B A C >in.cms
    for u in last drop; do
        feature-sort --unplaced $u -o out.cms in.cms 2>err
        [ "$(cat err)" = "feature-sort: warning: no feature has a position on the genome: the order stays" ]
        cms-diff in.cms out.cms
    done
    fails 3 feature-sort --unplaced error in.cms
    table '' >none.cms
    feature-sort none.cms | cms-diff none.cms -
}

@test "R's names, thousands, strands; chr1 and 1, chrM and MT in one matrix and in an order file" {
    table '' chr10.5.9 chr2:1,000-2,000 chr2:30-40:- 'chr1-7-8(+)' >in.cms
    feature-sort -o n.cms in.cms
    [ "$(names n.cms)" = "chr1-7-8(+) chr2:30-40:- chr2:1,000-2,000 chr10.5.9" ]
    [ "$(cms-text --cols n.cms | sed -n 4p)" = $'chr2:1,000-2,000\tchr2\t1000\t2000' ]
    # one chromosome under two names is one chromosome
    table '' chr1:5-9 1:1-2 chr2:3-4 MT:1-2 chrM:0-1 chr1:7-8 >two.cms
    feature-sort -o n.cms two.cms
    [ "$(names n.cms)" = "1:1-2 chr1:5-9 chr1:7-8 chr2:3-4 chrM:0-1 MT:1-2" ]
    [ "$(cms-text --cols n.cms | sed 1d | cut -f 2 | paste -sd ' ')" = "chr1 chr1 chr1 chr2 chrM chrM" ]
    [ "$(names <(feature-sort --chr-style keep two.cms))" = "1:1-2 chr1:5-9 chr1:7-8 chr2:3-4 MT:1-2 chrM:0-1" ]
    [ "$(cms-text --cols <(feature-sort --chr-style keep two.cms) | sed 1d | cut -f 2 | paste -sd ' ')" = "1 chr1 chr1 chr2 MT chrM" ]
    # an order file in the other style: chrom.sizes, .fai, a sequence dictionary, Windows lines
    printf 'MT\t9\r\n2\t5\r\n1\t7\r\n' >sizes
    printf '@HD\tVN:1\n@SQ\tSN:MT\tLN:9\n@SQ\tSN:2\tLN:9\n@SQ\tSN:1\tLN:5\n' >dict
    for f in sizes dict; do
        feature-sort --order file:$f two.cms >n.cms
        [ "$(names n.cms)" = "chrM:0-1 MT:1-2 chr2:3-4 1:1-2 chr1:5-9 chr1:7-8" ]
    done
}

@test "few features with a position: a warning with the numbers; --table is the new order" {
    table $'chrom:str\tstart:i64' $'a\tchr2\t5' $'b\t\t' $'c\t\t' $'d\tchr1\t9' $'e\t\t' >in.cms
    feature-sort --table t.tsv -o out.cms in.cms 2>err
    [ "$(cat err)" = "feature-sort: warning: 3 of 5 features have no position on the genome: at the end" ]
    printf 'new\told\tname\tchrom\tstart\tend\n0\t3\td\tchr1\t9\t\n1\t0\ta\tchr2\t5\t\n2\t1\tb\t\t\t\n3\t2\tc\t\t\t\n4\t4\te\t\t\t\n' | diff - t.tsv
    feature-sort --unplaced drop --table t.tsv -o out.cms in.cms 2>err
    [ "$(cat err)" = "feature-sort: warning: 3 of 5 features have no position on the genome: dropped" ]
    [ "$(wc -l <t.tsv)" = 3 ]
}

@test "annotations: symbols of 10x files, escapes of GFF3, many gzip members" {
    table $'feature_name:str' $'ENSG1\tA' $'ENSG2\tB;2' $'ENSG3\tC' >in.cms
    printf 'chr3\t10\t20\tA\t0\t-\nchr1\t5\t9\tB;2\t0\t+\n' >g.bed
    printf 'chr3\th\tgene\t11\t20\t.\t-\t.\tID=x1;Name=A\nchr1\th\tgene\t6\t9\t.\t+\t.\tID=x2;Name=B%%3B2\n' >g.gff3
    { head -n 1 g.gff3 | gzip; tail -n 1 g.gff3 | gzip; printf '' | gzip; } >h.gff3.gz
    for f in g.bed g.gff3 h.gff3.gz; do
        feature-sort --annotation $f -o out.cms in.cms
        [ "$(names out.cms)" = "ENSG2 ENSG1 ENSG3" ]
        [ "$(cms-text --cols out.cms | sed -n 2p | cut -f 3,4,5)" = $'chr1\t5\t9' ]
    done
}

@test "sorting and TF-IDF in either order give the same" {
    prepared atac.cms
    cms-text --cols atac.cms | awk -F '\t' 'NR > 1 { print $1 }' | sort -R --random-source=atac.cms >mixed
    cms-cat --columns mixed -o mixed.cms atac.cms
    tfidf mixed.cms | feature-sort -o a.cms
    feature-sort mixed.cms | tfidf -o b.cms
    cms-text --triplets a.cms >a
    cms-text --triplets b.cms | diff a -
}

@test "real peaks and genes" {
    need_data pbmc_multiome_2k/gex.h5ad snare_mouse_cortex/atac.h5ad
    need h5-read
    h5-read -o gex.cms "$DATA/pbmc_multiome_2k/gex.h5ad"
    feature-sort -o s.cms gex.cms
    cms-text --cols s.cms | awk -F '\t' 'NR > 1 && $3 != "" { if ($2 == c && $4 + 0 < s) exit 1; c = $2; s = $4 + 0 } END { exit c == "" }'
    h5-read -o atac.cms "$DATA/snare_mouse_cortex/atac.h5ad"
    cms-text --cols atac.cms | cut -f 1 | sed 1d | sort >want
    feature-sort atac.cms | cms-text --cols - | cut -f 1 | sed 1d | sort | diff want -
}
