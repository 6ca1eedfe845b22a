/* noded.conf: libconfig, redis.conf's names with underscores. Every problem is one line, "file:line: key: what is
 * wrong". */
#ifndef SHELL_CONFIG_FILE_H
#define SHELL_CONFIG_FILE_H

#include "common/io/conf.h"
#include "noded/cmd/settings.h"

/* The rows that a file gives, its included files too. */
struct config_given {
    const struct nd_setting **v;
    size_t n;
};

/* Sets in config what the file gives. false: problems has the lines, and config is only partly set. given may be NULL.
 */
bool config_file_read(const char *path, struct nd_config *config, struct config_given *given,
                      struct conf_problems *problems);
/* The same from text; name stands for the file. */
bool config_text_read(const char *name, struct slice text, struct nd_config *config, struct config_given *given,
                      struct conf_problems *problems);
void config_given_free(struct config_given *given);

/* The row of a key as the file spells it, NULL unknown. */
const struct nd_setting *config_file_row(struct slice key);
/* The key of a row as a file spells it, and its value. */
void config_file_put_key(const struct nd_setting *s, struct buf *out);
void config_file_put_value(const struct nd_setting *s, const struct nd_config *config, struct buf *out);

#endif
