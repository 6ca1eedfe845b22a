/* All keys of a database, over all masters of a cluster. What SCAN promises of one node holds for the whole: a key that
 * is there from the beginning to the end is shown, also when its slot moves or its master is replaced meanwhile. Such a
 * key may be shown twice, as with SCAN. Keys are handed on as they come; nothing piles up. */
#ifndef NODECTL_DB_WALK_H
#define NODECTL_DB_WALK_H

#include "nodectl/cluster/picture.h"

struct walk {
    /* The caller's. */
    struct picture *picture; /* taken; it is looked at again between the rounds */
    int64_t db;
    const char *match, *type; /* of SCAN; NULL: all keys */
    int64_t count;            /* a hint how many keys one answer has */
    /* false: that is enough; no error unless something is appended to why. */
    bool (*key)(void *owner, struct slice key, struct buf *why);
    void *owner;
    /* What came of it. */
    int64_t keys;   /* shown */
    size_t unowned; /* slots without an owner */
    int rounds;
    struct buf error; /* why it ended early */
};

/* false: it ended early, because key() had enough, by Ctrl-C, or with error. */
bool walk_run(struct walk *w);

#endif
