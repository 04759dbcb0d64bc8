# fish completion for cellmatch, and for the bare names where its tools are on PATH.
# What fits is asked of `cellmatch --complete-line`, which asks the program itself.

function __cellmatch_complete
    set -l words (commandline -opc)
    set -l current (commandline -ct)
    set -l program $words[1]
    set -l name (string replace -r '.*/' '' -- $program)
    set -e words[1]
    if test "$name" != cellmatch
        set words $name $words
        set program cellmatch
    end
    for line in ($program --complete-line $words "$current" 2>/dev/null)
        if test "$line" = :files
            set -l before (string match -r '^--[^=]*=' -- $current)
            for path in (__fish_complete_path (string replace -r '^--[^=]*=' '' -- $current))
                echo "$before$path"
            end
        else
            echo $line
        end
    end
end
complete -c cellmatch -f -a '(__cellmatch_complete)'
if type -q cellmatch
    for tool in (cellmatch --complete tools 2>/dev/null)
        complete -c $tool -f -a '(__cellmatch_complete)'
    end
end
