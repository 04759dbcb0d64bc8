# tiny STATE ROWS...: a stream of three genes on stdout; a row is "name batch factor column:value ...".
# With DENSE=1 a row is "name batch factor v1 v2 v3".
tiny() {
    local state=$1 row
    shift
    {
        printf '#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t1\n#head\tslot.0.name\tGEX\n'
        printf '#head\tslot.0.encoding\t%s\n' "$([ -n "${DENSE:-}" ] && echo dense || echo csr)"
        printf '#head\tslot.0.value\tauto\n#head\tslot.0.cols\t3\n#head\tslot.0.state\t%s\n' "$state"
        printf '#head\tlabels\t2\n#head\tlabel.0.name\tbatch\n#head\tlabel.0.type\tcat\n'
        printf '#head\tlabel.1.name\tfactor\n#head\tlabel.1.type\tf64\n'
        printf '#cols\t0\tname\n#cols\t0\tA\n#cols\t0\tB\n#cols\t0\tC\n#dict\tbatch\tplain\tx\ty\n'
        printf '#name\tbatch\tfactor\tcolumn:value ...\n'
        for row; do printf '%s\n' "${row// /$'\t'}"; done
        printf '#end\n'
    } | cms-text --from
}
# rows FILE: the rows alone, blanks for tabs.
rows() { cms-text --bare "$1" | tr '\t' ' '; }
