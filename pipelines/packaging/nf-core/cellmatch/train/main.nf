// A model from two files of cells measured both ways: train.sh(1).  Options in ext.args: '--preset linear'.
process CELLMATCH_TRAIN {
    tag "$meta.id"
    label 'process_medium'

    conda "${moduleDir}/environment.yml"
    // The image that pipelines/packaging/Containerfile of the sources makes.
    container "cellmatch:0.1.0"

    input:
    tuple val(meta), path(gex), path(second)
    path annotation

    output:
    tuple val(meta), path("${prefix}.model.cms"), emit: model
    path "versions.yml", emit: versions

    when:
    task.ext.when == null || task.ext.when

    script:
    def args = task.ext.args ?: ''
    def genes = annotation ? "--annotation ${annotation}" : ''
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    cellmatch train \\
        ${args} \\
        ${genes} \\
        -t ${task.cpus} \\
        ${gex} ${second} ${prefix}.model.cms

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cellmatch: \$(cellmatch --version | sed 's/.* //')
    END_VERSIONS
    """

    stub:
    prefix = task.ext.prefix ?: "${meta.id}"
    """
    touch ${prefix}.model.cms

    cat <<-END_VERSIONS > versions.yml
    "${task.process}":
        cellmatch: \$(cellmatch --version | sed 's/.* //')
    END_VERSIONS
    """
}
