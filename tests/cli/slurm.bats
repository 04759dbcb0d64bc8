# pipelines/slurm: jobs and arrays, run by a stand-in of sbatch that does what its manual says of the options used here.
load ../helper

setup() {
    scratch
    need match.sh xattn-train
    mkdir tmp bin spool
    export TMPDIR=$PWD/tmp
    # sbatch [--parsable] [--array=A-B] [--dependency=afterok:ID] SCRIPT WORD...: each task at once, from a copy of the script
    cat >bin/sbatch <<'S'
#!/bin/bash
parsable= array= after=
while [[ ${1:-} = -* ]]; do
    case $1 in
    --parsable) parsable=1 ;;
    --array=*) array=${1#*=} ;;
    --dependency=afterok:*) after=${1##*:} ;;
    *) echo "sbatch: error: unknown option $1" >&2 && exit 1 ;;
    esac
    shift
done
script=$1 && shift
head -n 1 "$script" | grep -q '^#!' || { echo 'sbatch: error: this does not look like a batch script' >&2 && exit 1; }
declare -A option=()
while IFS= read -r line; do # up to the first command
    case $line in
    '#SBATCH --'*=*) line=${line#\#SBATCH --} && option[${line%%=*}]=${line#*=} ;;
    '#'* | '') ;;
    *) break ;;
    esac
done <"$script"
id=$(($(ls "$SPOOL" | grep -c '^job') + 1))
cp "$script" "$SPOOL/job$id"
[ -z "$after" ] || [ "$(cat "$SPOOL/status.$after")" = 0 ] || { echo DependencyNeverSatisfied >"$SPOOL/status.$id" && echo $id && exit; }
total=0
for task in $([ -z "$array" ] && echo - || seq "${array%-*}" "${array#*-}"); do
    log=${option[output]} log=${log//%x/${option[job-name]}} log=${log//%A/$id} log=${log//%a/$task} log=${log//%j/$id}
    words=(SLURM_JOB_ID=$id SLURM_CPUS_PER_TASK=${option[cpus-per-task]})
    [ -z "$array" ] || words+=(SLURM_ARRAY_TASK_ID=$task)
    status=0
    env "${words[@]}" "$SPOOL/job$id" "$@" >"$log" 2>&1 </dev/null || status=$?
    [ $status = 0 ] || total=$status
done
echo $total >"$SPOOL/status.$id"
[ "$parsable" ] && echo $id || echo "Submitted batch job $id"
S
    chmod +x bin/sbatch
    export SPOOL=$PWD/spool PATH=$PWD/bin:$PATH PRESET=linear
    S=$ROOT/pipelines/slurm
    [ -e "$BATS_FILE_TMPDIR/atac.cms" ] ||
        cms-gen --gex "$BATS_FILE_TMPDIR/gex.cms" --atac "$BATS_FILE_TMPDIR/atac.cms" --cells 80 --genes 40 --peaks 60 --nnz-gex 20 --nnz-atac 30
    cp "$BATS_FILE_TMPDIR"/*.cms .
    for k in 1 2 3; do
        for m in gex atac; do cms-cat --where batch=batch$k -o $m.$k.cms $m.cms; done
        printf 'lib%d\tgex.%d.cms\tatac.%d.cms\n' $k $k $k
    done >libraries.tsv
}
array() { sbatch --parsable --array=1-"$(wc -l <libraries.tsv)" "$S/match.sbatch" model.cms libraries.tsv out "$@"; }
status() { cat "spool/status.$1"; }

@test "a training, and an array over libraries that waits for it: what train.sh and match.sh make" {
    id=$(sbatch --parsable "$S/train.sbatch" gex.cms atac.cms model.cms)
    [ "$(status "$id")" = 0 ]
    sbatch --dependency=afterok:"$id" --array=1-"$(wc -l <libraries.tsv)" "$S/match.sbatch" model.cms libraries.tsv out --sharp
    [ "$(status 2)" = 0 ]
    train.sh -q -p linear gex.cms atac.cms m.cms
    cms-diff --tolerance 0 m.cms model.cms
    for k in 1 2 3; do
        match.sh -q --sharp m.cms gex.$k.cms atac.$k.cms k.cms
        cms-diff --tolerance 0 k.cms out/lib$k.match.cms
        grep -q 'cells of GEX against' cellmatch-match-2_$k.log
    done
    [ -z "$(ls -A tmp)" ]
}

@test "submitted again only what is missing, damaged or older than its inputs is made" {
    train.sh -q -p linear gex.cms atac.cms model.cms
    touch -d '1 hour ago' model.cms gex.* atac.*
    [ "$(status "$(array)")" = 0 ]
    touch -d '10 minutes ago' out/*
    before=$(stat -c '%n %Y' out/lib1.match.cms)
    rm out/lib2.match.cms && head -c 900 out/lib3.match.cms >cut && mv cut out/lib3.match.cms
    [ "$(status "$(array)")" = 0 ]
    [ "$before" = "$(stat -c '%n %Y' out/lib1.match.cms)" ]
    grep -qx 'match.sbatch: out/lib1.match.cms is there' cellmatch-match-2_1.log
    for k in 2 3; do cms-info --check out/lib$k.match.cms; done
    touch gex.1.cms
    [ "$(status "$(array)")" = 0 ]
    [ "$before" != "$(stat -c '%n %Y' out/lib1.match.cms)" ]
}

@test "a task that fails says why in its log, and the others are made; wrong lists are refused" {
    train.sh -q -p linear gex.cms atac.cms model.cms
    sed -i '2s/gex.2.cms/absent.cms/' libraries.tsv
    [ "$(status "$(array)")" = 4 ]
    grep -q "error: cannot open 'absent.cms'" cellmatch-match-1_2.log
    [ "$(ls -A out | tr '\n' ' ')" = 'lib1.match.cms lib3.match.cms ' ]
    one() { SLURM_ARRAY_TASK_ID=$1 fails "$2" "$S/match.sbatch" model.cms libraries.tsv out; }
    one 4 3
    says 'libraries.tsv has no line 4'
    for line in 'lib2 gex.2.cms atac.2.cms' $'lib2\tgex.2.cms' $'a\tb\tc\td' $'../lib2\tgex.2.cms\tatac.2.cms' $'lib1\tgex.2.cms\tatac.2.cms'; do
        awk -v line="$line" 'NR == 2 { $0 = line } { print }' libraries.tsv >l && mv l libraries.tsv
        one 2 3
        says libraries.tsv
    done
    fails 2 env -u SLURM_ARRAY_TASK_ID "$S/match.sbatch" model.cms libraries.tsv out
    says 'this is a job of an array'
    fails 2 "$S/match.sbatch" model.cms
    run "$S/train.sbatch" gex.cms
    [ "$status" = 2 ]
    # a training that failed: the array never begins
    id=$(sbatch --parsable "$S/train.sbatch" absent.cms atac.cms none.cms)
    [ "$(status "$id")" = 4 ]
    id=$(sbatch --parsable --dependency=afterok:"$id" --array=1-3 "$S/match.sbatch" none.cms libraries.tsv never)
    [ "$(status "$id")" = DependencyNeverSatisfied ] && [ ! -e never ]
}

@test "the TERM before the time is up ends a task at once; no file is left, and the next submission makes it" {
    train.sh -q -p linear gex.cms atac.cms model.cms
    printf '#!/bin/bash\necho $$ >begun\nexec sleep 1000\n' >slow && chmod +x slow
    KNN_MATCH=./slow SLURM_ARRAY_TASK_ID=1 "$S/match.sbatch" model.cms libraries.tsv out 2>/dev/null 3>&- &
    for _ in $(seq 300); do [ ! -s begun ] || break; sleep 0.1; done
    kill -TERM $!
    status=0
    wait $! || status=$?
    [ "$status" = 143 ]
    ! kill -0 "$(cat begun)" 2>/dev/null
    [ -z "$(ls -A out tmp | grep -v :)" ]
    [ "$(status "$(array)")" = 0 ]
    [ "$(ls out | wc -l)" = 3 ]
}
