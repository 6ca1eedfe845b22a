#include "sentineld/shell/overrides.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "common/base/mem.h"
#include "sentineld/shell/users.h"

struct waiting {
    uint64_t seq;
    enum sn_record_kind kind; /* OPTION, FILE; GROUP: its options are gone; RENAME: they belong to `value` now */
    char *group, *option, *value;
};

struct overrides {
    struct state_options options, file;
    struct waiting *v;
    size_t n, cap;
};

static void copy(struct state_options *to, const struct state_options *from)
{
    for (size_t i = 0; i < from->n; i++)
        state_options_add(to, from->v[i].group, from->v[i].option, from->v[i].value);
}

struct overrides *overrides_new(const struct state_image *image)
{
    struct overrides *o = mem_zalloc(sizeof *o);
    copy(&o->options, &image->options);
    copy(&o->file, &image->file_values);
    return o;
}

static void free_waiting(struct waiting *w)
{
    free(w->group);
    free(w->option);
    free(w->value);
}

void overrides_free(struct overrides *o)
{
    if (o == NULL)
        return;
    state_options_free(&o->options);
    state_options_free(&o->file);
    for (size_t i = 0; i < o->n; i++)
        free_waiting(&o->v[i]);
    free(o->v);
    free(o);
}

void overrides_queue(struct overrides *o, uint64_t seq, const struct sn_record *records, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        const struct sn_record *r = &records[i];
        bool gone = r->kind == SN_REC_GROUP && !r->monitored;
        if (!gone && r->kind != SN_REC_OPTION && r->kind != SN_REC_FILE && r->kind != SN_REC_RENAME)
            continue;
        o->v = mem_grow(o->v, o->n, &o->cap, sizeof *o->v);
        o->v[o->n++] = (struct waiting){.seq = seq,
                                        .kind = r->kind,
                                        .group = mem_strdup(r->group != NULL ? r->group : ""),
                                        .option = r->option == NULL ? NULL : mem_strdup(r->option),
                                        .value = gone || r->value == NULL ? NULL : mem_strdup(r->value)};
    }
}

static void take_out(struct state_options *list, size_t i)
{
    free(list->v[i].group);
    free(list->v[i].option);
    free(list->v[i].value);
    list->n--;
    memmove(&list->v[i], &list->v[i + 1], (list->n - i) * sizeof *list->v);
}

/* option NULL: all of the group. */
static void clear(struct state_options *list, const char *group, const char *option)
{
    for (size_t i = list->n; i-- > 0;)
        if (strcmp(list->v[i].group, group) == 0 && (option == NULL || strcasecmp(list->v[i].option, option) == 0))
            take_out(list, i);
}

static void settle(struct overrides *o, const struct waiting *w)
{
    struct state_options *list = w->kind == SN_REC_FILE ? &o->file : &o->options;
    if (w->kind == SN_REC_RENAME) {
        state_options_rename(&o->options, w->group, w->value);
        return;
    }
    clear(list, w->group, w->option);
    if (w->value != NULL)
        state_options_add(list, w->group, w->option, w->value);
}

void overrides_settle(struct overrides *o, uint64_t seq, bool ok)
{
    size_t kept = 0;
    for (size_t i = 0; i < o->n; i++) {
        struct waiting *w = &o->v[i];
        if (w->seq > seq) {
            o->v[kept++] = *w;
            continue;
        }
        if (ok)
            settle(o, w);
        free_waiting(w);
    }
    o->n = kept;
}

const struct state_options *overrides_options(const struct overrides *o)
{
    return &o->options;
}

const struct state_options *overrides_file(const struct overrides *o)
{
    return &o->file;
}

bool overrides_secret(const char *option)
{
    return strcasecmp(option, "auth-pass") == 0 || strcasecmp(option, "sentinel-pass") == 0 ||
           strncmp(option, USERS_OPTION, strlen(USERS_OPTION)) == 0;
}
