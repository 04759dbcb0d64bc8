# What the shells offer on <tab>: the words come from `cellmatch --complete-line`, the shells show them.
load ../helper

offers() { cellmatch --complete-line "$@" | cut -f 1 | paste -sd ' '; }

@test "completion: every option of every tool and pipeline, as --help has it" {
    local program name
    for program in "$ROOT"/bin/*.c "$ROOT"/pipelines/*.sh; do
        name=$(basename "$program" .c)
        [ "$(offers "$name" -)" != '' ]
        diff <("$name" --help | sed -nE 's/^  (-., |    )(--[a-z0-9-]+).*/\2/p' | sort) \
            <(cellmatch --complete-line "${name%.sh}" - | cut -f 1 | sort)
        # Each with its description.
        ! cellmatch --complete-line "$name" - | grep -v $'^--[a-z0-9-]*\t.' || false
    done
}

@test "completion: --complete-types of a pipeline lists its options" {
    local program
    for program in "$ROOT"/pipelines/*.sh; do
        diff <("$program" --complete | sort) <("$program" --complete-types | cut -f 1 | sort)
    done
    [ "$(train.sh --complete-types | grep -e --annotation)" = $'--annotation\tinput\tFILE' ]
    [ "$(train.sh --complete-types | grep -e --quiet)" = $'--quiet\tflag\t' ]
}

@test "completion: values of options, by any spelling" {
    [ "$(offers tfidf --method sig)" = "signac1 signac2 signac3 signac4" ]
    [ "$(offers tfidf -m sn)" = snapatac2 ]
    [ "$(offers tfidf --method=sn)" = --method=snapatac2 ]
    [ "$(offers tfidf -b --norm '')" = "own none l1 l2" ]
    [ "$(offers feature-sort --order '')" = ":files natural lexicographic input" ]
    [ "$(offers tfidf -s '')" = "" ]
    [ "$(offers tfidf --like '')" = :files ]
    [ "$(offers tfidf --output=)" = :files ]
    [ "$(offers xattn-train --tokens '')" = "" ]
}

@test "completion: presets are those of xattn-train, in every program that takes one" {
    local presets
    presets=$(xattn-train --help | sed -nE 's/.*--preset ([a-z|]+).*/\1/p' | tr '|' ' ')
    [ -n "$presets" ]
    for t in xattn-train train neurips2021 train.sh; do [ "$(offers $t --preset '')" = "$presets" ]; done
    [[ $(offers baselines --rivals '') = "$presets "*" clue" ]]
}

@test "completion: operands are words or files, as the usage has them" {
    [ "$(offers plot '')" = "heatmap scatter curve ranks pr reliability arcs" ]
    [ "$(offers plot -o x.svg s)" = scatter ]
    [ "$(offers plot heatmap '')" = :files ]
    [ "$(offers plot heatmap a.cms '')" = :files ]
    [ "$(offers batch a.cms '')" = :files ]
    [ "$(offers batch a.cms b.cms '')" = "" ]
    [ "$(offers cms-gen '')" = "" ]
    [ "$(offers fixture semi)" = semi-solution ]
    [ "$(offers tfidf -- --m)" = :files ]
}

@test "completion: names of tools, pipelines, pages; strangers are not run" {
    mkdir path
    printf '#!/bin/sh\ntouch "%s/ran"\n' "$PWD" >path/cellmatch-stranger
    chmod +x path/cellmatch-stranger
    PATH=$PWD/path:$PATH
    [ "$(cellmatch --complete-line tf | grep tfidf)" = $'tfidf\t'"$(tfidf --help | sed -n 2p)" ]
    cellmatch --complete-line '' | grep -qx stranger
    cellmatch --complete-line '' | grep -q $'^train\ta model'
    cellmatch --complete-line help '' | grep -qx cellmatch-model
    [ "$(offers help tfidf '')" = "" ]
    [ "$(offers stranger '')" = :files ]
    [ "$(offers ../bin/tfidf -)" = :files ]
    [ ! -e ran ]
}

@test "completion: the same in the awks that are here" {
    local awk k want
    mkdir awks
    questions() {
        offers tfidf --norm ''
        offers tfidf -m sn
        offers tfidf --method=sn
        offers plot ''
        cellmatch --complete-line tfidf -
    }
    want=$(questions)
    [ "$(wc -l <<<"$want")" -gt 20 ]
    for awk in mawk gawk original-awk 'busybox awk'; do
        command -v "${awk% *}" >/dev/null || continue
        printf '#!/bin/sh\nexec %s "$@"\n' "$(command -v "${awk% *}")${awk#"${awk% *}"}" >awks/awk
        chmod +x awks/awk
        diff <(echo "$want") <(PATH=$PWD/awks:$PATH questions)
    done
}

# bash WORDS...: what the last one may become.
bash_offers() {
    bash --norc -c '. "$1" && shift && COMP_WORDS=("$@") COMP_CWORD=$(($# - 1)) && _cellmatch && echo "${COMPREPLY[*]}"' \
        _ "$ROOT/pipelines/completion.bash" "$@"
}

@test "completion: bash" {
    [ "$(bash_offers cellmatch tfid)" = tfidf ]
    [ "$(bash_offers cellmatch tfidf --me)" = --method ]
    [ "$(bash_offers tfidf --norm l)" = "l1 l2" ]
    # as bash cuts --method=sn
    [ "$(bash_offers cellmatch tfidf --method = sn)" = snapatac2 ]
    [ "$(bash_offers cellmatch tfidf --method =)" = "$(offers tfidf -m '')" ]
    [ "$(bash_offers "$BINDIR/cellmatch" train --preset li)" = linear ]
}

@test "completion: bash has every tool by its bare name, and no other program's" {
    local tool
    . "$ROOT/pipelines/completion.bash"
    for tool in "$ROOT"/bin/*.c "$ROOT"/pipelines/*.sh; do
        complete -p "$(basename "$tool" .c)"
    done
    ! complete -p env || false
    ! complete -p help || false
}

# keys SHELL...: types standard input, <tab> as @, at a terminal with that shell.
keys() {
    tr @ '\t' | timeout 30 script -qec "$*" /dev/null | tr -d '\r'
}

@test "completion: bash, typed at a terminal" {
    need script
    touch 'one file.cms'
    printf 'x=%s\n' "$PWD" >rc
    printf '. "%s"\nPS1=\nbind "set bell-style none"\nargs() { printf "<%%s>" "$@"; echo; }\n' \
        "$ROOT/pipelines/completion.bash" >rc
    # What a line became is seen by putting `args` before it once it is complete.
    printf 'cellmatch tfidf --mater@ --norm=no@ --like one@ \001args \nexit\n' | keys env TERM=dumb bash --noprofile --rcfile rc -i >out
    cat out
    grep -qF '<cellmatch><tfidf><--materialize><--norm=none><--like><one file.cms>' out
}

@test "completion: zsh, typed at a terminal" {
    need zsh
    mkdir site
    cp "$ROOT/pipelines/completion.zsh" site/_cellmatch
    touch onefile.cms
    cat >drive.zsh <<'EOF'
zmodload zsh/zpty
zpty shell env TERM=dumb zsh -f -i
line() { zpty -w -n shell "$1"; }
line 'PS1=; fpath=('$PWD/site' $fpath); autoload -U compinit; compinit -u -D; args() { printf "<%s>" "$@"; echo; }'$'\n'
line 'eval "$(cellmatch env)"; echo rea""dy'$'\n'
zpty -r shell text '*ready*'
# What a line became is seen by putting `args` before it once it is complete.
line $'cellmatch tfidf --mater\t--norm=no\t--like one\t\x01args \n'
line $'tfidf --meth\tsn\t\x01args \n'
line $'print -n en; print d\n'
zpty -r shell text $'*\nend*'
print -r -- $text
zpty -d shell
EOF
    timeout 30 zsh -f drive.zsh >out 2>&1 || { cat -v out; return 1; }
    cat -v out
    grep -qF '<cellmatch><tfidf><--materialize><--norm=none><--like><onefile.cms>' out
    grep -qF '<tfidf><--method><snapatac2>' out
}

fish_offers() { fish -N -c 'source $argv[1]; complete -C $argv[2]' "$ROOT/pipelines/completion.fish" "$1" | cut -f 1 | paste -sd ' '; }

@test "completion: fish" {
    need fish
    export HOME=$PWD
    touch onefile.cms
    [ "$(fish_offers 'cellmatch tfid')" = tfidf ]
    [ "$(fish_offers 'cellmatch tfidf --me')" = --method ]
    [ "$(fish_offers 'cellmatch tfidf --norm=l')" = "--norm=l1 --norm=l2" ]
    [ "$(fish_offers 'cellmatch tfidf --like one')" = onefile.cms ]
    [ "$(fish_offers 'cellmatch tfidf --like=one')" = --like=onefile.cms ]
    [ "$(fish_offers 'cellmatch cms-gen one')" = "" ]
    [ "$(fish_offers 'tfidf -m snap')" = snapatac2 ]
    [ "$(fish_offers 'cellmatch train --preset li')" = linear ]
}
