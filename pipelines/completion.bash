# Bash completion for cellmatch and, after `eval "$(cellmatch env)"`, for the bare names.
# Each program knows its own options (--complete prints them) and cellmatch its tools, so this file
# never goes stale.

_cellmatch_words() { # WORD-LIST
    local w
    COMPREPLY=()
    while read -r w; do COMPREPLY+=("$w"); done < <(compgen -W "$1" -- "$2")
}

_cellmatch() {
    local current=${COMP_WORDS[COMP_CWORD]} command=${COMP_WORDS[0]}
    if [ "${command##*/}" = cellmatch ]; then
        if [ "$COMP_CWORD" = 1 ]; then
            _cellmatch_words "$("$command" --complete 2>/dev/null)" "$current"
            return
        elif [ "${COMP_WORDS[1]}" = help ]; then
            _cellmatch_words "$("$command" --complete 2>/dev/null)" "$current"
            return
        fi
        command="$command ${COMP_WORDS[1]}"
    fi
    case $current in
    -*)
        # shellcheck disable=SC2086 # two words: cellmatch TOOL
        _cellmatch_words "$($command --complete 2>/dev/null)" "$current"
        ;;
    *) COMPREPLY=() ;; # file names, by -o default
    esac
}
complete -o default -o bashdefault -F _cellmatch cellmatch
for _cellmatch_tool in $(cellmatch --complete tools 2>/dev/null); do
    complete -o default -o bashdefault -F _cellmatch "$_cellmatch_tool"
done
unset _cellmatch_tool
