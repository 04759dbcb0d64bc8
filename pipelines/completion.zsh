#compdef cellmatch
# zsh completion for cellmatch and, after `eval "$(cellmatch env)"`, for the bare names.
# What fits is asked of `cellmatch --complete-line`, which asks the program itself.

local -a asked line words_of_it described
local program=$words[1] word text files
asked=("${(@)words[2,CURRENT]}")
asked[-1]=$PREFIX
if [[ ${program:t} != cellmatch ]]; then
    asked=("${program:t}" "${asked[@]}")
    program=cellmatch
fi
for line in "${(@f)$(_call_program words "${(q)program} --complete-line ${(j: :)${(q@)asked}}" 2>/dev/null)}"; do
    word=${line%%$'\t'*}
    text=${line#*$'\t'}
    case $line in
    :files) files=1 ;;
    ?*)
        words_of_it+=("$word")
        if [[ $line = *$'\t'* ]]; then described+=("$word  -- $text"); else described+=("$word"); fi
        ;;
    esac
done
(( $#words_of_it )) && compadd -l -d described -a words_of_it
if [[ -n $files ]]; then
    compset -P '--*='
    _files
fi
