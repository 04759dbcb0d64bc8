# Bash completion for cellmatch and, after `eval "$(cellmatch env)"`, for the bare names.
# What fits is asked of `cellmatch --complete-line`, which asks the program itself, so that nothing
# here goes stale.

_cellmatch() {
    local words=() k word text before
    # To bash `=` is a word of its own: --method = s is --method=s.
    for ((k = 0; k <= COMP_CWORD; k++)); do
        word=${COMP_WORDS[k]}
        if [ ${#words[@]} -gt 1 ] && [[ $word == =* || ${words[${#words[@]} - 1]} == --*= ]]; then
            words[${#words[@]} - 1]+=$word
        else
            words+=("$word")
        fi
    done
    before= word=${words[${#words[@]} - 1]}
    [[ $word != --*=* || $COMP_WORDBREAKS != *=* ]] || before=${word%%=*}=
    k=${words[0]##*/}
    if [ "$k" = cellmatch ]; then k=${words[0]} words=("${words[@]:1}"); else words[0]=$k k=cellmatch; fi
    COMPREPLY=()
    while IFS=$'\t' read -r word text; do
        case $word in
        :files) compopt -o default -o bashdefault 2>/dev/null ;;
        "$before"*) COMPREPLY+=("${word#"$before"}") ;;
        esac
    done < <("$k" --complete-line "${words[@]}" 2>/dev/null | _cellmatch_fits "${words[${#words[@]} - 1]}")
}
_cellmatch_fits() { # WORD: the lines that begin with it, without descriptions
    local line
    while IFS= read -r line; do
        case $line in :files | "$1"*) printf '%s\n' "${line%%$'\t'*}" ;; esac
    done
}
complete -F _cellmatch cellmatch
for _cellmatch_tool in $(cellmatch --complete tools 2>/dev/null); do
    complete -F _cellmatch "$_cellmatch_tool"
done
unset _cellmatch_tool
