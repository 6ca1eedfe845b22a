#include "sentineld/core/settings.h"

#include "common/base/mem.h"
#include "common/base/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The core counts in microseconds and takes multiples (up to ten) of these: 3,170 years is far from where that
 * overflows. */
#define MS_MAX INT64_C(100000000000000)

enum option_type { OPTION_NUMBER, OPTION_TEXT, OPTION_SECRET, OPTION_REBORN, OPTION_RENAME };

static const struct option {
    const char *name;
    enum option_type type;
    size_t at; /* in struct sn_settings */
    int64_t min, max;
} options[] = {
#define AT(field) offsetof(struct sn_settings, field)
    {"quorum", OPTION_NUMBER, AT(quorum), 1, INT32_MAX},
    {"down-after-milliseconds", OPTION_NUMBER, AT(down_after_ms), 1, MS_MAX},
    {"failover-timeout", OPTION_NUMBER, AT(failover_timeout_ms), 1, MS_MAX},
    {"parallel-syncs", OPTION_NUMBER, AT(parallel_syncs), 1, INT32_MAX},
    {"master-reboot-down-after-period", OPTION_NUMBER, AT(master_reboot_down_after_ms), 0, MS_MAX},
    {"notification-script", OPTION_TEXT, AT(notification_script), 0, 0},
    {"client-reconfig-script", OPTION_TEXT, AT(client_reconfig_script), 0, 0},
    {"auth-user", OPTION_TEXT, AT(auth_user), 0, 0},
    {"auth-pass", OPTION_SECRET, AT(auth_pass), 0, 0},
    {"reborn-empty", OPTION_REBORN, AT(reborn_empty), 0, 0},
    {"rename-command", OPTION_RENAME, AT(renames), 0, 0},
#undef AT
};

static const char *const reborn_names[] = {[SN_REBORN_FAILOVER] = "failover", [SN_REBORN_FOLLOW] = "follow"};

static int64_t *number_of(struct sn_settings *s, const struct option *o)
{
    return (int64_t *)(void *)((char *)s + o->at);
}

static char **text_of(struct sn_settings *s, const struct option *o)
{
    return (char **)(void *)((char *)s + o->at);
}

void sn_settings_init(struct sn_settings *s)
{
    *s = (struct sn_settings){
        .quorum = 2,
        .down_after_ms = 30000,
        .failover_timeout_ms = 60000,
        .parallel_syncs = 1,
        .reborn_empty = SN_REBORN_FAILOVER,
        .notification_script = mem_strdup(""),
        .client_reconfig_script = mem_strdup(""),
        .auth_user = mem_strdup(""),
        .auth_pass = mem_strdup(""),
    };
}

void sn_settings_free(struct sn_settings *s)
{
    free(s->notification_script);
    free(s->client_reconfig_script);
    free(s->auth_user);
    free(s->auth_pass);
    for (size_t i = 0; i < s->nrenames; i++) {
        free(s->renames[i].from);
        free(s->renames[i].to);
    }
    free(s->renames);
    *s = (struct sn_settings){0};
}

void sn_settings_copy(struct sn_settings *to, const struct sn_settings *from)
{
    *to = *from;
    to->notification_script = mem_strdup(from->notification_script);
    to->client_reconfig_script = mem_strdup(from->client_reconfig_script);
    to->auth_user = mem_strdup(from->auth_user);
    to->auth_pass = mem_strdup(from->auth_pass);
    to->renames = NULL;
    if (from->nrenames > 0)
        to->renames = mem_array(NULL, from->nrenames, sizeof *to->renames);
    for (size_t i = 0; i < from->nrenames; i++) {
        to->renames[i].from = mem_strdup(from->renames[i].from);
        to->renames[i].to = mem_strdup(from->renames[i].to);
    }
}

/* Writes an error about `what`; always 0, so that callers can return it. Line ends would cut the error reply in two. */
static size_t refuse(char *text, size_t size, const char *before, struct slice what, const char *after)
{
    int shown = what.n < 256 ? (int)what.n : 256;
    snprintf(text, size, "%s '%.*s'%s", before, shown, what.n > 0 ? what.p : "", after);
    for (size_t i = 0; i < size && text[i] != '\0'; i++)
        if ((unsigned char)text[i] < ' ')
            text[i] = ' ';
    return 0;
}

static size_t refuse_value(char *text, size_t size, const struct option *o, struct slice value)
{
    char after[96];
    snprintf(after, sizeof after, " for SENTINEL SET '%s'", o->name);
    return refuse(text, size, "Invalid argument", o->type == OPTION_SECRET ? slice_of("******") : value, after);
}

static bool has_nul(struct slice s)
{
    return s.n > 0 && memchr(s.p, '\0', s.n) != NULL;
}

static struct sn_rename *find_rename(const struct sn_settings *s, const char *from)
{
    for (size_t i = 0; i < s->nrenames; i++)
        if (slice_ieq(slice_of(from), s->renames[i].from))
            return &s->renames[i];
    return NULL;
}

static void drop_rename(struct sn_settings *s, struct sn_rename *r)
{
    free(r->from);
    free(r->to);
    *r = s->renames[--s->nrenames];
}

/* A command renamed to itself is one that is not renamed. */
static void set_rename(struct sn_settings *s, struct slice from, struct slice to)
{
    char *name = slice_dup(from);
    struct sn_rename *r = find_rename(s, name);
    if (slice_ieq(to, name)) {
        if (r != NULL)
            drop_rename(s, r);
        free(name);
    } else if (r != NULL) {
        free(r->to);
        r->to = slice_dup(to);
        free(name);
    } else {
        s->renames = mem_array(s->renames, s->nrenames + 1, sizeof *s->renames);
        s->renames[s->nrenames++] = (struct sn_rename){.from = name, .to = slice_dup(to)};
    }
}

/* A command's name is one word; a blank in the old one could also not be told from the blank between the two when
 * stored. */
static bool is_word(struct slice s)
{
    for (size_t i = 0; i < s.n; i++)
        if ((unsigned char)s.p[i] <= ' ')
            return false;
    return s.n > 0;
}

static bool set_reborn(struct sn_settings *s, struct slice value)
{
    for (size_t i = 0; i < sizeof reborn_names / sizeof reborn_names[0]; i++) {
        if (slice_ieq(value, reborn_names[i])) {
            s->reborn_empty = (enum sn_reborn)i;
            return true;
        }
    }
    return false;
}

static bool set_value(struct sn_settings *s, const struct option *o, struct slice value)
{
    switch (o->type) {
    case OPTION_NUMBER: return text_range(value, o->min, o->max, number_of(s, o));
    case OPTION_REBORN: return set_reborn(s, value);
    case OPTION_TEXT:
    case OPTION_SECRET:
        if (has_nul(value))
            return false;
        free(*text_of(s, o));
        *text_of(s, o) = slice_dup(value);
        return true;
    case OPTION_RENAME: break; /* takes two values */
    }
    return false;
}

size_t sn_settings_set(struct sn_settings *s, const struct slice *argv, size_t argc, char *text, size_t text_size)
{
    const struct option *o = NULL;
    for (size_t i = 0; argc > 0 && o == NULL && i < sizeof options / sizeof options[0]; i++)
        if (slice_ieq(argv[0], options[i].name))
            o = &options[i];
    size_t values = o != NULL && o->type == OPTION_RENAME ? 2 : 1;
    if (o == NULL || argc < 1 + values)
        return refuse(text, text_size, "Unknown option or number of arguments for SENTINEL SET",
                      argc > 0 ? argv[0] : slice_of(""), "");
    if (o->type != OPTION_RENAME)
        return set_value(s, o, argv[1]) ? 2 : refuse_value(text, text_size, o, argv[1]);
    for (size_t i = 1; i <= 2; i++)
        if (!is_word(argv[i]))
            return refuse_value(text, text_size, o, argv[i]);
    set_rename(s, argv[1], argv[2]);
    return 3;
}

const char *sn_settings_command(const struct sn_settings *s, const char *name)
{
    const struct sn_rename *r = find_rename(s, name);
    return r != NULL ? r->to : name;
}

void sn_settings_each(const struct sn_settings *s, void (*f)(void *arg, const char *option, const char *value),
                      void *arg)
{
    struct sn_settings view = *s; /* for reading through the table only */
    for (size_t i = 0; i < sizeof options / sizeof options[0]; i++) {
        const struct option *o = &options[i];
        char number[24];
        switch (o->type) {
        case OPTION_NUMBER:
            snprintf(number, sizeof number, "%" PRId64, *number_of(&view, o));
            f(arg, o->name, number);
            break;
        case OPTION_TEXT:
        case OPTION_SECRET: f(arg, o->name, *text_of(&view, o)); break;
        case OPTION_REBORN: f(arg, o->name, reborn_names[s->reborn_empty]); break;
        case OPTION_RENAME: break;
        }
    }
    struct buf pair = {0};
    for (size_t i = 0; i < s->nrenames; i++) {
        buf_clear(&pair);
        buf_printf(&pair, "%s %s", s->renames[i].from, s->renames[i].to);
        f(arg, "rename-command", buf_str(&pair));
    }
    buf_free(&pair);
}
