# @tool@: DECIDE: what the unit test does not show.
load ../helper
load tiny

@test "@tool@: values by an independent formula, awk" {
    prepared gex.cms
    @tool@ gex.cms >out.cms
    cms-text --triplets gex.cms | awk -F '\t' '{ x[NR] = $3; feature[NR] = $2; cell[NR] = $1; sum[$2] += $3 }
        END { for (k = 1; k <= NR; k++) printf "%s\t%s\t%.9g\n", cell[k], feature[k], x[k] / (sum[feature[k]] / 300) }' >want
    cms-text --triplets out.cms | paste - want | awk -F '\t' '
        $1 != $4 || $2 != $5 { exit 1 }
        { d = $3 - $6; if (d < 0) d = -d; if (d > 1e-6 * $6) { print; exit 1 } }'
    cms-text --head out.cms | grep -q $'^slot.0.state\tunknown$'
}

@test "@tool@: --fit takes these cells alone, --like applies the same" {
    tiny counts 'a x 1 A:1 B:3' 'b x 1 A:3' 'c y 1 A:7 B:6' >in.cms
    @tool@ --fit batch=x in.cms >out.cms
    [ "$(rows out.cms)" = "$(printf '%s\n' 'a x 1 A:0.5 B:2' 'b x 1 A:1.5' 'c y 1 A:3.5 B:4')" ]
    cms-cat --where batch=y in.cms | @tool@ --like out.cms >new.cms
    [ "$(rows new.cms)" = "$(rows out.cms | tail -n 1)" ]
    [ "$(cms-text --head new.cms | grep fit)" = "$(cms-text --head out.cms | grep fit)" ]
    cms-text new.cms | grep -q $'^#cols\t0\tname\tfit.mean'
}

@test "@tool@: no cells; cells without entries; dense input" {
    tiny counts | @tool@ >out.cms
    [ -z "$(rows out.cms)" ]
    tiny counts 'a x 1 A:2' 'b x 1' | @tool@ >out.cms
    [ "$(rows out.cms | tail -n 1)" = 'b x 1' ]
    DENSE=1 tiny counts 'a x 1 1 3 0' 'b x 1 3 0 0' | @tool@ >out.cms
    [ "$(rows out.cms)" = "$(printf '%s\n' 'a x 1 0.5 2 0' 'b x 1 1.5 0 0')" ]
}

@test "@tool@: what is refused, and with which words" {
    prepared gex.cms gex.log.cms
    fails 3 @tool@ gex.log.cms
    says "lognorm"
    fails 2 @tool@ --like gex.log.cms --fit split=train gex.cms
    fails 3 @tool@ --like gex.log.cms gex.cms
    says "carries no fit of @tool@"
}
