/* The harm that a drill does, and its way back. */
#ifndef NODECTL_DRILL_HARM_H
#define NODECTL_DRILL_HARM_H

#include "nodectl/asking.h"
#include "nodectl/drill/claim.h"
#include "nodectl/drill/order.h"
#include "nodectl/drill/process.h"
#include "nodectl/drill/target.h"

enum harm_way {
    HARM_SIGNAL,  /* to a process of this host */
    HARM_UNIT,    /* the same, and systemd starts it again */
    HARM_COMMAND, /* the operator's */
    HARM_SWITCH,  /* asked of the supervisors */
};

struct harm {
    enum drill_kind kind;
    enum harm_way way;
    enum drill_deed deed;
    enum drill_part part;
    struct addr at; /* the node, or the supervisor */
    struct addr to; /* of SWITCH: who is to be the master; not set: the supervisors choose */
    bool of_supervisor;
    struct local_process process; /* of SIGNAL and UNIT */
    bool done;                    /* or begun, and not yet undone */
    bool whole;                   /* of COMMAND: it succeeded */
    const struct asking *asking;
    const struct drill_order *order;
    const struct drill_target *target;
    const struct drill_claim_order *claim; /* given up by the guard behind the way back; NULL: there is none */
    int guard_fd;                          /* see harm_guard() */
    pid_t guard;
};

/* How this kind could be done to this target; nothing is done. The pointers must outlive it. false: it cannot, and why
 * says what is to be done about it. */
bool harm_prepare(struct harm *h, enum drill_kind kind, const struct asking *a, const struct drill_order *o,
                  const struct drill_target *t, struct buf *why);
void harm_free(struct harm *h);

/* What is done, and what is done on the way back, each as a clause. */
void harm_describe(const struct harm *h, struct buf *what, struct buf *back);

/* From now until harm_free() another process does the way back if this one should die. */
void harm_guard(struct harm *h);
bool harm_do(struct harm *h, struct buf *why);
/* Whether harm_undo() waits until there is a new master, for 30 seconds at most. */
bool harm_must_wait(const struct harm *h);
bool harm_undo(struct harm *h, struct buf *why); /* true also when nothing is to be undone */

#endif
