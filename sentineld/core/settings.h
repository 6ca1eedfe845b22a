/* What an operator can set for one group: `groups` of sentineld.conf, SENTINEL MONITOR and SENTINEL SET. */
#ifndef CORE_SETTINGS_H
#define CORE_SETTINGS_H

#include "common/base/bytes.h"

enum sn_reborn { SN_REBORN_FAILOVER, SN_REBORN_FOLLOW }; /* SAFETY section 4 */

struct sn_rename {
    char *from, *to;
};

struct sn_settings {
    int64_t quorum;                      /* >= 1 */
    int64_t down_after_ms;               /* >= 1 */
    int64_t failover_timeout_ms;         /* >= 1 */
    int64_t parallel_syncs;              /* >= 1 */
    int64_t master_reboot_down_after_ms; /* >= 0; 0 is off */
    enum sn_reborn reborn_empty;
    char *notification_script;    /* never NULL; "" is none */
    char *client_reconfig_script; /* likewise */
    char *auth_user, *auth_pass;  /* likewise */
    struct sn_rename *renames;
    size_t nrenames;
};

void sn_settings_init(struct sn_settings *s); /* the built-in defaults; quorum 2 */
void sn_settings_free(struct sn_settings *s);
void sn_settings_copy(struct sn_settings *to, const struct sn_settings *from); /* `to` is uninitialised or freed */

/* Takes one option of SENTINEL SET, in its words (reference section 1), from argv[0..argc): the name and its values.
 * Returns how many arguments it took, or 0: then *error says why, in Redis's words, without "-ERR " (static or in
 * `text`). Does not look at the file system: whether a script exists is the shell's question, asked before. */
size_t sn_settings_set(struct sn_settings *s, const struct slice *argv, size_t argc, char *text, size_t text_size);

/* The command as this group's nodes know it. Returns `name` itself when it was not renamed. */
const char *sn_settings_command(const struct sn_settings *s, const char *name);

/* The options in the words of SENTINEL SET, for storing and comparing: calls back once per option with its value as
 * text; rename-command once per renamed command with value "old new". */
void sn_settings_each(const struct sn_settings *s, void (*f)(void *arg, const char *option, const char *value),
                      void *arg);

#endif
