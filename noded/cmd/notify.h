/* Keyspace notifications: classes of notify-keyspace-events. */
#ifndef CMD_NOTIFY_H
#define CMD_NOTIFY_H

#include "common/base/bytes.h"

enum {
    ND_EV_KEYSPACE = 1 << 0,  /* K */
    ND_EV_KEYEVENT = 1 << 1,  /* E */
    ND_EV_GENERIC = 1 << 2,   /* g */
    ND_EV_STRING = 1 << 3,    /* $ */
    ND_EV_LIST = 1 << 4,      /* l */
    ND_EV_SET = 1 << 5,       /* s */
    ND_EV_HASH = 1 << 6,      /* h */
    ND_EV_ZSET = 1 << 7,      /* z */
    ND_EV_EXPIRED = 1 << 8,   /* x */
    ND_EV_EVICTED = 1 << 9,   /* e */
    ND_EV_STREAM = 1 << 10,   /* t */
    ND_EV_KEY_MISS = 1 << 11, /* m */
    ND_EV_LOADED = 1 << 12,   /* not shown */
    ND_EV_MODULE = 1 << 13,   /* d */
    ND_EV_NEW = 1 << 14,      /* n */
    ND_EV_ALL = ND_EV_GENERIC | ND_EV_STRING | ND_EV_LIST | ND_EV_SET | ND_EV_HASH | ND_EV_ZSET | ND_EV_EXPIRED |
                ND_EV_EVICTED | ND_EV_STREAM | ND_EV_MODULE /* A */
};

struct nd_engine;
struct nd_db;

/* Publishes the event when its class and one of K and E are wanted. class 0 never is; nor are keys that nobody sees yet
 * (shadow databases). */
void nd_event(struct nd_engine *e, int class, const char *event, struct slice key, struct nd_db *db);

/* -1: an unknown letter. */
int nd_notify_parse(struct slice s);
void nd_notify_text(int classes, struct buf *out); /* as CONFIG GET shows it */

#endif
