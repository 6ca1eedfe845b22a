/* What `slots fix` would do: for each trouble that it can end without a guess the deed, for each other one the reason
 * why somebody must decide. Pure. */
#ifndef NODECTL_SLOTS_REPAIR_H
#define NODECTL_SLOTS_REPAIR_H

#include "nodectl/slots/set.h"
#include "nodectl/slots/survey.h"

enum repair_kind {
    REPAIR_MEET,    /* `at` is met by those that do not know it */
    REPAIR_FORGET,  /* `at`, which is gone, is forgotten by those that list it */
    REPAIR_GIVE_UP, /* `to` gives up its handshake with nobody, which it has as `at` */
    REPAIR_CLOSE,   /* open slots at `at` are taken back: no key is at the other end */
    REPAIR_FINISH,  /* an open slot is moved from `at` to `to`: keys are there already */
    REPAIR_HOME,    /* keys at `at` are brought to `to`, which has their slots */
    REPAIR_CLAIM,  /* `at` has these slots, and some nodes give them to another one: it claims them in a higher epoch */
    REPAIR_ASSIGN, /* slots of nobody are given to `at`, which alone has keys of them, or nobody has any */
    REPAIR_ABANDON, /* slots of `to`, which is lost with its replicas, are given to `at` without their keys */
};

struct repair {
    enum repair_kind kind;
    runid at, to; /* to: "" where there is none */
    struct slot_set slots;
    int64_t keys;      /* at `at`, of these slots */
    struct addr addr;  /* of a meeting, or where the one was that is forgotten; host "" unknown */
    uint16_t bus_port; /* of a meeting; 0: 10000 above the other one */
};

struct repairs {
    struct repair *v; /* owned; in the order in which they are to be done */
    size_t n, cap;
    struct buf refused; /* a line for each trouble that somebody must decide on */
    size_t nrefused;
};

/* For repair*.c: a line of what somebody must decide on. */
void repair_refuse(struct repairs *out, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The part of it that is about nodes which not all know. */
void repairs_find_nodes(const struct picture *p, const struct survey *s, struct repairs *out);
/* give_up: the keys of masters that are lost with all their replicas, too; else that is somebody's to decide. */
void repairs_find(const struct picture *p, const struct survey *s, bool give_up, struct repairs *out);
void repairs_free(struct repairs *r);

#endif
