/* `nodectl failover`, second part: what the supervisors publish while it happens, and what it amounts to. */
#ifndef NODECTL_FAILOVER_WATCH_H
#define NODECTL_FAILOVER_WATCH_H

#include "common/base/addr.h"
#include "common/base/bytes.h"

#include <jansson.h>

enum failover_phase {
    FAILOVER_SELECTED, /* the replica is chosen */
    FAILOVER_PROMOTED, /* it says that it is a master */
    FAILOVER_SWITCHED, /* the supervisor tells clients the new master */
    FAILOVER_AGREED,   /* all that we listen to do */
    FAILOVER_FINISHED, /* the other replicas follow */
    FAILOVER_PHASES
};

/* "selected" ... and what it means, for people. */
const char *failover_phase_name(enum failover_phase p);
const char *failover_phase_text(enum failover_phase p);

struct failover_watch {
    const char *group;
    const char *by;                 /* the supervisor that does it; it must outlive the watch */
    json_t *waiting;                /* addresses of supervisors that have not switched yet, as keys */
    int64_t at_ms[FAILOVER_PHASES]; /* since the request; -1: not yet */
    char to[ADDR_TEXT_MAX];         /* "" before it is known */
    struct buf failure;             /* why it was given up; empty: it was not */
    json_t *events;                 /* [{ ms, supervisor, event, text }] */
};

/* supervisors: addresses that are listened to, `by` among them. */
void failover_watch_init(struct failover_watch *w, const char *group, const char *by);
void failover_watch_expect(struct failover_watch *w, const char *supervisor);
/* It cannot be heard any more, so it is not waited for. */
void failover_watch_lost(struct failover_watch *w, const char *supervisor, int64_t ms);
void failover_watch_free(struct failover_watch *w);

/* An event of a supervisor. Returns whether it is about this failover, so that it is worth showing. */
bool failover_watch_take(struct failover_watch *w, const char *supervisor, const char *event, const char *text,
                         int64_t ms);
/* Nothing more is to come: it failed, or every phase is reached. */
bool failover_watch_over(const struct failover_watch *w);

#endif
