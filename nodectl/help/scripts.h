/* The scripts that make a shell ask `nodectl __complete` when the tab key is pressed. */
#ifndef NODECTL_HELP_SCRIPTS_H
#define NODECTL_HELP_SCRIPTS_H

#define COMPLETION_SHELLS "bash|zsh|fish"

/* NULL: there is none for that shell. */
const char *completion_script(const char *shell);

#endif
