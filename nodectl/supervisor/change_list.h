/* nodectl supervisor add and remove: another list of supervisors, brought to all of them in the order that SAFETY M1
 * needs: a new one has the longer list before the others get it, and one that leaves goes when the others have the
 * shorter one and nodes count it. Where `fleet create` made the fleet on this host, nodectl writes the files and
 * restarts the processes, and fleet.json says from the first step to the last that a list is half given out: two such
 * changes at once leave lists of which none has a majority. Elsewhere it says what is to be done, and follows until it
 * is. */
#ifndef NODECTL_SUPERVISOR_CHANGE_LIST_H
#define NODECTL_SUPERVISOR_CHANGE_LIST_H

#include "nodectl/change.h"
#include "nodectl/local/layout.h"

enum list_step { LIST_START, LIST_RESTART, LIST_AGREE, LIST_STOP, LIST_RECORD };

struct change_list {
    const struct command_call *call;
    struct asking asking;
    struct change change;
    struct layout layout;     /* of a fleet of this host */
    bool local, adds, is_new; /* is_new: the one that is added was never on a list that was given out */
    int lock;                 /* of the layout; -1 */
    struct addr who;
    struct conf_addresses wanted; /* the list as it will be */
    int limit_ms;                 /* of one step */
    struct {
        enum list_step what;
        struct addr at;
    } * steps;
    size_t nsteps;
};

/* change_local.c: at a fleet of this host. false, of those with `why`: it failed, and the reason is appended. */
bool change_local_act(struct change_list *c, enum list_step what, const struct addr *at, struct buf *why);
/* Whether the processes of all of them are on this host, and belong to the fleet of the layout. */
bool change_local_can(const struct change_list *c);
/* The file of the supervisor at that address has the wanted list, in its order. */
bool change_local_has(const struct change_list *c, const struct addr *at);
bool change_local_runs(const struct change_list *c, const struct addr *at);
/* It was started and runs no more: so, and the end of its log, is appended to why. One that systemd starts may come
 * again. */
bool change_local_ended(const struct change_list *c, const struct addr *at, struct buf *why);
/* Before the first step: fleet.json says that this change is under way. */
bool change_local_begin(struct change_list *c, struct buf *why);
/* The new one did not come up, and nobody else has the new list yet: it is ended and forgotten, and nothing is under
 * way. false: some have the list, so nothing was done, or it failed. */
bool change_local_undo(struct change_list *c, struct buf *why);

/* change_check.c: what is refused before a plan is made, with what to do instead. r: all of the fleet's supervisors. */
struct roll;
int change_list_check(const struct change_list *c, const struct roll *r);

#endif
