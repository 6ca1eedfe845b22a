/* What a row of the table of settings is made of. For settings*.c only. */
#ifndef CMD_SETTINGS_ROW_H
#define CMD_SETTINGS_ROW_H

#include "noded/cmd/settings.h"

#define ND_SETTING_KEPT SIZE_MAX /* place: config->kept, as text */

enum {
    ND_SETF_IMMUTABLE = 1 << 0,
    ND_SETF_SENSITIVE = 1 << 1,
    ND_SETF_PROTECTED = 1 << 2,
    ND_SETF_UNUSED = 1 << 3,
    ND_SETF_GATHERS = 1 << 4,
    /* What it asks for is not to be had here, and whoever asks must not believe that it is: only the default is taken.
     */
    ND_SETF_ONLY_DEFAULT = 1 << 5
};

typedef bool nd_setting_set_fn(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n,
                               struct buf *why);
typedef void nd_setting_get_fn(const struct nd_setting *s, const struct nd_config *c, struct buf *out);

struct nd_setting {
    const char *name, *alias;
    enum nd_setting_kind kind;
    size_t at; /* offset in struct nd_config, or ND_SETTING_KEPT */
    int64_t min, max;
    const char *words; /* ND_SET_WORD: with spaces between */
    const char *initial;
    nd_setting_set_fn *set; /* NULL: what the kind does */
    nd_setting_get_fn *get;
    unsigned flags;
    const char *help;
};

extern const struct nd_setting nd_settings[];
extern const size_t nd_setting_count;

/* The field of the row. */
void *nd_setting_place(const struct nd_setting *s, const struct nd_config *c);
/* Puts the text there and frees the old one. */
void nd_setting_put_text(const struct nd_setting *s, struct nd_config *c, struct slice text);
void nd_setting_put_words(const struct nd_setting *s, struct nd_config *c, const struct slice *words, size_t n);
/* A whole number within the row's range; else the reason is appended to why. */
bool nd_setting_number(const struct nd_setting *s, struct slice word, int64_t *out, struct buf *why);
/* Bytes as redis.conf has them, units of 1000 (k) and 1024 (kb); what is beyond 63 bits gives INT64_MAX. */
bool nd_setting_bytes(struct slice word, int64_t *out);

/* ---- rows that are more than their kind (settings_special.c) ---- */
nd_setting_set_fn nd_set_bind, nd_set_output_limit, nd_set_notify, nd_set_save, nd_set_hz, nd_set_backlog_size,
    nd_set_percentiles, nd_set_replicaof, nd_set_shutdown, nd_set_hostname, nd_set_oom_values, nd_set_file_name,
    nd_set_memory_or_percent;
nd_setting_get_fn nd_get_output_limit, nd_get_notify, nd_get_memory_or_percent;

#endif
