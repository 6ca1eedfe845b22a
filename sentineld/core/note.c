#include "sentineld/core/note.h"

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"

static const char *const kind_names[SN_NOTE_KINDS] = {
    [SN_NOTE_SDOWN] = "sdown",         [SN_NOTE_ODOWN] = "odown",       [SN_NOTE_WAITING] = "waiting",
    [SN_NOTE_STAND] = "stand",         [SN_NOTE_VOTE] = "vote",         [SN_NOTE_WON] = "won",
    [SN_NOTE_LOST] = "lost",           [SN_NOTE_PROMOTED] = "promoted", [SN_NOTE_SWITCHED] = "switched",
    [SN_NOTE_CONVERGED] = "converged", [SN_NOTE_ABORTED] = "aborted",   [SN_NOTE_CONFIG] = "config",
    [SN_NOTE_AGREED] = "agreed",       [SN_NOTE_SWAPDB] = "swapdb",
};

const char *sn_note_kind_name(enum sn_note_kind k)
{
    return kind_names[k];
}

bool sn_note_kind_parse(struct slice name, enum sn_note_kind *out)
{
    for (int k = 0; k < SN_NOTE_KINDS; k++) {
        if (!slice_ieq(name, kind_names[k]))
            continue;
        *out = (enum sn_note_kind)k;
        return true;
    }
    return false;
}

struct sn_note *sn_note_new(enum sn_note_kind kind, uint64_t epoch)
{
    struct sn_note *n = mem_zalloc(sizeof *n);
    n->kind = kind;
    n->epoch = epoch;
    return n;
}

void sn_note_free(struct sn_note *n)
{
    if (n == NULL)
        return;
    for (size_t k = 0; k < n->n; k++)
        free(n->v[k].text);
    free(n->v);
    free(n);
}

static struct sn_note_item *add(struct sn_note *n, enum sn_note_type type, const char *name)
{
    n->v = mem_grow(n->v, n->n, &n->cap, sizeof *n->v);
    struct sn_note_item *i = &n->v[n->n++];
    *i = (struct sn_note_item){.type = type, .name = name};
    return i;
}

void sn_note_int(struct sn_note *n, const char *name, int64_t v)
{
    add(n, SN_ITEM_INT, name)->number = v;
}

void sn_note_bool(struct sn_note *n, const char *name, bool v)
{
    add(n, SN_ITEM_BOOL, name)->number = v;
}

void sn_note_text(struct sn_note *n, const char *name, const char *v)
{
    add(n, SN_ITEM_TEXT, name)->text = mem_strdup(v != NULL ? v : "");
}

void sn_note_list(struct sn_note *n, const char *name)
{
    add(n, SN_ITEM_LIST, name);
}

void sn_note_row(struct sn_note *n)
{
    add(n, SN_ITEM_ROW, NULL);
}

void sn_note_object(struct sn_note *n, const char *name)
{
    add(n, SN_ITEM_OBJECT, name);
}

void sn_note_end(struct sn_note *n)
{
    add(n, SN_ITEM_END, NULL);
}

/* ---- reading ---- */

struct sn_note_part sn_note_whole(const struct sn_note *n)
{
    return (struct sn_note_part){n, 0, n != NULL ? n->n : 0};
}

static bool opens(const struct sn_note_item *i)
{
    return i->type == SN_ITEM_LIST || i->type == SN_ITEM_OBJECT;
}

/* The place behind the END of what opens at `at`. */
static size_t behind(const struct sn_note *n, size_t at)
{
    while (at < n->n && n->v[at].type != SN_ITEM_END)
        at++;
    return at < n->n ? at + 1 : at;
}

/* The field, or what opens with that name; what lies inside of a list or an object is stepped over. */
static const struct sn_note_item *find(struct sn_note_part p, const char *name, bool opening)
{
    for (size_t k = p.from; k < p.to;) {
        const struct sn_note_item *i = &p.note->v[k];
        if (opens(i) == opening && i->name != NULL && strcmp(i->name, name) == 0)
            return i;
        k = opens(i) ? behind(p.note, k) : k + 1;
    }
    return NULL;
}

struct sn_note_part sn_note_part(const struct sn_note *n, const char *name)
{
    const struct sn_note_item *i = n != NULL ? find(sn_note_whole(n), name, true) : NULL;
    if (i == NULL)
        return (struct sn_note_part){n, 0, 0};
    size_t from = (size_t)(i - n->v) + 1, end = behind(n, from);
    bool closed = end > from && n->v[end - 1].type == SN_ITEM_END;
    return (struct sn_note_part){n, from, closed ? end - 1 : end};
}

bool sn_note_next(struct sn_note_part *list, struct sn_note_part *row)
{
    size_t at = list->from;
    while (at < list->to && list->note->v[at].type != SN_ITEM_ROW)
        at++;
    if (at >= list->to)
        return false;
    size_t end = at + 1;
    while (end < list->to && list->note->v[end].type != SN_ITEM_ROW)
        end++;
    *row = (struct sn_note_part){list->note, at + 1, end};
    list->from = end;
    return true;
}

int64_t sn_note_get(struct sn_note_part p, const char *name, int64_t absent)
{
    const struct sn_note_item *i = find(p, name, false);
    return i != NULL && (i->type == SN_ITEM_INT || i->type == SN_ITEM_BOOL) ? i->number : absent;
}

const char *sn_note_get_text(struct sn_note_part p, const char *name)
{
    const struct sn_note_item *i = find(p, name, false);
    return i != NULL && i->type == SN_ITEM_TEXT ? i->text : "";
}
