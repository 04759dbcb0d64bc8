// Cells to test with: those that train, and those that no step has seen.
process CELLMATCH_GENERATE {
    conda "${moduleDir}/../environment.yml"
    container "cellmatch:0.1.0"

    output:
    tuple val([ id:'test' ]), path("gex.cms"), path("atac.cms"), emit: train
    tuple val([ id:'test' ]), path("gex.new.cms"), path("atac.new.cms"), emit: test

    script:
    """
    cellmatch cms-gen --cells 600 --gex g.cms --atac a.cms
    cellmatch cms-cat --except split=test g.cms > gex.cms
    cellmatch cms-cat --except split=test a.cms > atac.cms
    cellmatch cms-cat --where split=test g.cms > gex.new.cms
    cellmatch cms-cat --where split=test a.cms > atac.new.cms
    """
}
