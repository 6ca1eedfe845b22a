#include "nodectl/help/scripts.h"

#include <stddef.h>
#include <string.h>

/* Each shell asks `nodectl __complete -- WORD...`, which answers with a line "word<tab>description" for each proposal,
 * or with ":files" or ":folders" where the shell itself knows better. */

/* bash splits words at ':' and '=' too, and replaces only what stands behind the last of them: words are joined again
 * as they were typed, and of each proposal the part that stands there already is taken away. */
static const char bash[] = "# Completion of nodectl for bash; made by `nodectl completion bash`.\n"
                           "_nodectl()\n"
                           "{\n"
                           "    local rest=$COMP_LINE word cur line\n"
                           "    local -a words=()\n"
                           "    local -i i\n"
                           "    COMPREPLY=()\n"
                           "    for ((i = 0; i <= COMP_CWORD; i++)); do\n"
                           "        word=${COMP_WORDS[i]}\n"
                           "        if [[ $i -eq 0 || $rest == [[:space:]]* ]]; then\n"
                           "            rest=${rest#\"${rest%%[![:space:]]*}\"}\n"
                           "            words+=(\"$word\")\n"
                           "        else\n"
                           "            words[${#words[@]} - 1]+=$word\n"
                           "        fi\n"
                           "        rest=${rest#\"$word\"}\n"
                           "    done\n"
                           "    cur=${words[${#words[@]} - 1]}\n"
                           "    local head=${cur%\"${cur##*[:=]}\"}\n"
                           "    while IFS= read -r line; do\n"
                           "        case $line in\n"
                           "            :files) mapfile -t COMPREPLY < <(compgen -f -- \"${cur##*=}\") ;;\n"
                           "            :folders) mapfile -t COMPREPLY < <(compgen -d -- \"${cur##*=}\") ;;\n"
                           "            *) line=${line%%$'\\t'*} && COMPREPLY+=(\"${line#\"$head\"}\") ;;\n"
                           "        esac\n"
                           "        [[ $line != :* ]] || compopt -o filenames 2>/dev/null\n"
                           "    done < <(\"${words[0]}\" __complete -- \"${words[@]:1}\" 2>/dev/null)\n"
                           "}\n"
                           "complete -F _nodectl nodectl\n";

static const char zsh[] = "#compdef nodectl\n"
                          "# Completion of nodectl for zsh; made by `nodectl completion zsh`.\n"
                          "_nodectl()\n"
                          "{\n"
                          "    local line word prefix=${words[CURRENT]}\n"
                          "    local -a found shown\n"
                          "    while IFS= read -r line; do\n"
                          "        case $line in\n"
                          "            (:files) compset -P '*='; _files; return ;;\n"
                          "            (:folders) compset -P '*='; _files -/; return ;;\n"
                          "        esac\n"
                          "        word=${line%%$'\\t'*}\n"
                          "        found+=(\"$word\")\n"
                          "        shown+=(\"${(r:24:)word} ${line#*$'\\t'}\")\n"
                          "    done < <(${words[1]} __complete -- \"${(@)words[2,CURRENT]}\" 2>/dev/null)\n"
                          "    (( ${#found} )) && compadd -l -d shown -a found\n"
                          "}\n"
                          "if [[ $funcstack[1] == _nodectl ]]; then\n"
                          "    _nodectl \"$@\"\n"
                          "else\n"
                          "    compdef _nodectl nodectl\n"
                          "fi\n";

static const char fish[] =
    "# Completion of nodectl for fish; made by `nodectl completion fish`.\n"
    "function __nodectl_complete\n"
    "    set -l words (commandline -opc)\n"
    "    set -l cur (commandline -ct)\n"
    "    for line in ($words[1] __complete -- $words[2..-1] \"$cur\" 2>/dev/null)\n"
    "        switch $line\n"
    "            case :files\n"
    "                __fish_complete_path (string replace -r '^--[a-z-]+=' '' -- \"$cur\")\n"
    "            case :folders\n"
    "                __fish_complete_directories (string replace -r '^--[a-z-]+=' '' -- \"$cur\")\n"
    "            case '*'\n"
    "                echo $line\n"
    "        end\n"
    "    end\n"
    "end\n"
    "complete -c nodectl -f -a '(__nodectl_complete)'\n";

const char *completion_script(const char *shell)
{
    if (strcmp(shell, "bash") == 0)
        return bash;
    if (strcmp(shell, "zsh") == 0)
        return zsh;
    return strcmp(shell, "fish") == 0 ? fish : NULL;
}
