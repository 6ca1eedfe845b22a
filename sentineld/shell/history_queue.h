/* What waits for the thread of history.c: entries, bounded in number and in bytes, and questions, in the order in which
 * they came. When it is full the oldest entries go, and the loss is counted. Its owner does the locking. */
#ifndef SHELL_HISTORY_QUEUE_H
#define SHELL_HISTORY_QUEUE_H

#include "common/base/bytes.h"
#include "sentineld/core/note.h"
#include "sentineld/shell/history_db.h"

enum history_item_kind { HISTORY_ITEM_EVENT, HISTORY_ITEM_NOTE, HISTORY_ITEM_DRILL, HISTORY_ITEM_QUESTION };

struct history_item {
    struct history_item *next;
    enum history_item_kind kind;
    int64_t wall_ms;
    const char *name, *text, *group; /* in the same block */
    struct sn_note *note;            /* owned, as what follows */
    size_t bytes;                    /* that it takes */
    uint64_t number;                 /* given by history_queue_put() */
    uint64_t token;
    struct history_query query;
    struct history_rows rows;
    struct buf reply;
};

/* Copies the texts; NULL is "". */
struct history_item *history_item_new(enum history_item_kind kind, const char *name, const char *text,
                                      const char *group);
void history_item_free(struct history_item *i); /* NULL is allowed */

struct history_items {
    struct history_item *first, **last;
};

void history_items_init(struct history_items *l);
void history_items_put(struct history_items *l, struct history_item *i);
struct history_item *history_items_take(struct history_items *l); /* the first one, or NULL */
void history_items_free(struct history_items *l);                 /* all that is in it */

/* Entries that were dropped, and the wall time of the oldest and of the newest of them. */
struct history_loss {
    uint64_t count;
    int64_t first_ms, last_ms;
};

void history_loss_add(struct history_loss *to, const struct history_loss *more);

struct history_queue {
    struct history_items list;
    size_t entries, bytes, questions; /* in the list, and taken out but not yet done with */
    size_t entries_max, bytes_max;
    uint64_t put;             /* how many items were put so far: the number of the last one */
    struct history_loss loss; /* before the first item of the list; the owner may take it and put it back */
};

void history_queue_init(struct history_queue *q, size_t entries_max, size_t bytes_max);
void history_queue_free(struct history_queue *q);

/* Takes the item. The newest item is always kept. */
void history_queue_put(struct history_queue *q, struct history_item *i);
/* `most` entries at the front, up to that number and up to a question, into an empty list. They still count. */
void history_queue_take(struct history_queue *q, uint64_t up_to, size_t most, struct history_items *out);
bool history_queue_reaches(const struct history_queue *q, uint64_t up_to); /* an item up to that number waits */
/* The first question up to that number; NULL: there is none, or, unless it may be anywhere, entries stand before it. It
 * still counts. */
struct history_item *history_queue_question(struct history_queue *q, uint64_t up_to, bool anywhere);
bool history_queue_asked(const struct history_queue *q); /* a question waits in the list */
/* Items that were taken: they count no more, and stay the caller's; or they go back to the front. */
void history_queue_done(struct history_queue *q, const struct history_item *first);
void history_queue_give_back(struct history_queue *q, struct history_items *l);

#endif
