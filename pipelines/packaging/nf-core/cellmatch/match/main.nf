// The cells of two files matched by a model: match.sh(1).  Options in ext.args: '--reverse --within batch'.
process CELLMATCH_MATCH {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    // The image that pipelines/packaging/Containerfile of the sources makes.
    container "cellmatch:0.1.0"

    input:
    tuple val(meta), path(gex), path(second)
    tuple val(meta2), path(model)

    output:
    tuple val(meta), path("${prefix}.match.cms"), emit: match
    tuple val(meta), path("${prefix}.pairs.tsv"), emit: pairs
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    cellmatch match \\
        ${args} \\
        -t ${task.cpus} \\
        ${model} ${gex} ${second} ${prefix}.match.cms
    cellmatch cms-text --pairs ${prefix}.match.cms > ${prefix}.pairs.tsv

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cellmatch: \$(cellmatch --version | sed 's/.* //')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.match.cms ${prefix}.pairs.tsv

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cellmatch: \$(cellmatch --version | sed 's/.* //')
    END_VERSIONS
    """
}
