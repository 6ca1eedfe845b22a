#include "sentineld/shell/history_queue.h"

#include "common/base/mem.h"

#include <stdlib.h>
#include <string.h>

/* ---- items ---- */

/* Its texts lie behind it: an entry is one allocation, for there may be thousands at a start. */
struct history_item *history_item_new(enum history_item_kind kind, const char *name, const char *text,
                                      const char *group)
{
    const char *const texts[] = {name != NULL ? name : "", text != NULL ? text : "", group != NULL ? group : ""};
    size_t bytes = sizeof(struct history_item);
    for (size_t k = 0; k < 3; k++)
        bytes += strlen(texts[k]) + 1;
    struct history_item *i = mem_alloc(bytes);
    *i = (struct history_item){.kind = kind, .bytes = bytes};
    const char **places[] = {&i->name, &i->text, &i->group};
    char *at = (char *)(i + 1);
    for (size_t k = 0; k < 3; k++) {
        size_t n = strlen(texts[k]) + 1;
        *places[k] = memcpy(at, texts[k], n);
        at += n;
    }
    return i;
}

void history_item_free(struct history_item *i)
{
    if (i == NULL)
        return;
    sn_note_free(i->note);
    history_query_free(&i->query);
    history_rows_free(&i->rows);
    buf_free(&i->reply);
    free(i);
}

void history_items_init(struct history_items *l)
{
    l->first = NULL;
    l->last = &l->first;
}

void history_items_put(struct history_items *l, struct history_item *i)
{
    i->next = NULL;
    *l->last = i;
    l->last = &i->next;
}

struct history_item *history_items_take(struct history_items *l)
{
    struct history_item *i = l->first;
    if (i == NULL)
        return NULL;
    l->first = i->next;
    if (l->first == NULL)
        l->last = &l->first;
    return i;
}

void history_items_free(struct history_items *l)
{
    struct history_item *i;
    while ((i = history_items_take(l)) != NULL)
        history_item_free(i);
}

/* ---- the queue ---- */

void history_queue_init(struct history_queue *q, size_t entries_max, size_t bytes_max)
{
    *q = (struct history_queue){.entries_max = entries_max, .bytes_max = bytes_max};
    history_items_init(&q->list);
}

void history_queue_free(struct history_queue *q)
{
    history_items_free(&q->list);
}

void history_loss_add(struct history_loss *to, const struct history_loss *more)
{
    if (more->count == 0)
        return;
    if (to->count == 0 || more->first_ms < to->first_ms)
        to->first_ms = more->first_ms;
    if (to->count == 0 || more->last_ms > to->last_ms)
        to->last_ms = more->last_ms;
    to->count += more->count;
}

static void count_out(struct history_queue *q, const struct history_item *i)
{
    if (i->kind == HISTORY_ITEM_QUESTION) {
        q->questions--;
    } else {
        q->entries--;
        q->bytes -= i->bytes;
    }
}

/* Takes the item out of the list at the place that points to it. */
static struct history_item *unlink_at(struct history_queue *q, struct history_item **at)
{
    struct history_item *i = *at;
    *at = i->next;
    if (i->next == NULL)
        q->list.last = at;
    return i;
}

/* The oldest entries go, questions stay; so does `kept`, the newest one. */
static void drop_oldest(struct history_queue *q, const struct history_item *kept)
{
    struct history_item **at = &q->list.first;
    while (*at != NULL && (q->entries > q->entries_max || q->bytes > q->bytes_max)) {
        if ((*at)->kind == HISTORY_ITEM_QUESTION) {
            at = &(*at)->next;
            continue;
        }
        if (*at == kept)
            return;
        struct history_item *i = unlink_at(q, at);
        history_loss_add(&q->loss, &(struct history_loss){1, i->wall_ms, i->wall_ms});
        count_out(q, i);
        history_item_free(i);
    }
}

void history_queue_put(struct history_queue *q, struct history_item *i)
{
    i->number = ++q->put;
    history_items_put(&q->list, i);
    if (i->kind == HISTORY_ITEM_QUESTION) {
        q->questions++;
        return;
    }
    q->entries++;
    q->bytes += i->bytes;
    drop_oldest(q, i);
}

void history_queue_take(struct history_queue *q, uint64_t up_to, size_t most, struct history_items *out)
{
    history_items_init(out);
    for (; most > 0 && history_queue_reaches(q, up_to) && q->list.first->kind != HISTORY_ITEM_QUESTION; most--)
        history_items_put(out, history_items_take(&q->list));
}

bool history_queue_reaches(const struct history_queue *q, uint64_t up_to)
{
    return q->list.first != NULL && q->list.first->number <= up_to;
}

struct history_item *history_queue_question(struct history_queue *q, uint64_t up_to, bool anywhere)
{
    if (q->questions == 0)
        return NULL; /* the list may be long */
    for (struct history_item **at = &q->list.first; *at != NULL && (*at)->number <= up_to; at = &(*at)->next) {
        if ((*at)->kind == HISTORY_ITEM_QUESTION)
            return unlink_at(q, at);
        if (!anywhere)
            return NULL;
    }
    return NULL;
}

bool history_queue_asked(const struct history_queue *q)
{
    for (const struct history_item *i = q->list.first; q->questions > 0 && i != NULL; i = i->next)
        if (i->kind == HISTORY_ITEM_QUESTION)
            return true;
    return false;
}

void history_queue_done(struct history_queue *q, const struct history_item *first)
{
    for (const struct history_item *i = first; i != NULL; i = i->next)
        count_out(q, i);
}

void history_queue_give_back(struct history_queue *q, struct history_items *l)
{
    if (l->first != NULL) {
        *l->last = q->list.first;
        if (q->list.first == NULL)
            q->list.last = l->last;
        q->list.first = l->first;
        history_items_init(l);
    }
    drop_oldest(q, NULL);
}
