/* The commands of one link that have no answer yet, in the order in which they were sent. It is that of hiredis' own
 * list; ours exists so that io_link_free() can answer all at once, also where hiredis puts its clean-up off. */
#ifndef IO_LINK_PENDING_H
#define IO_LINK_PENDING_H

#include "common/io/link.h"

#define LINK_PENDING_KEPT 2 /* for so many there is room in the list itself: more at a time are rare */

struct link_pending {
    struct link_pending *next;
    io_reply_fn *fn;
    void *arg;
    bool kept, used; /* kept: lies in the list itself */
};

struct link_pendings {
    struct link_pending *first, **last, own[LINK_PENDING_KEPT];
    size_t count;
};

void link_pending_init(struct link_pendings *p); /* it must not be moved after this */
void link_pending_add(struct link_pendings *p, io_reply_fn *fn, void *arg);
/* Takes the first out. false: there is none. */
bool link_pending_take(struct link_pendings *p, io_reply_fn **fn, void **arg);

#endif
