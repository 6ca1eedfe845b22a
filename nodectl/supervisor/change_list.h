/* nodectl supervisor add and remove: another list of supervisors, brought to all of them in the order that SAFETY M1
 * needs: a new one has the longer list before the others get it, and one that leaves goes when the others have the
 * shorter one. Where `fleet create` made the fleet on this host, nodectl writes the files and restarts the processes;
 * elsewhere it says what is to be done, and follows until it is. */
#ifndef NODECTL_SUPERVISOR_CHANGE_LIST_H
#define NODECTL_SUPERVISOR_CHANGE_LIST_H

#include "nodectl/change.h"
#include "nodectl/local/layout.h"

enum list_step { LIST_START, LIST_RESTART, LIST_STOP, LIST_RECORD, LIST_AGREE };

struct change_list {
    const struct command_call *call;
    struct asking asking;
    struct change change;
    struct layout layout; /* of a fleet of this host */
    bool local, adds;
    struct addr who;
    struct conf_addresses wanted; /* the list as it will be */
    int limit_ms;                 /* of one step */
    struct {
        enum list_step what;
        struct addr at;
    } * steps;
    size_t nsteps;
};

/* change_local.c: does a step at a fleet of this host. false: it failed, and the reason is appended to why. */
bool change_local_act(struct change_list *c, enum list_step what, const struct addr *at, struct buf *why);
/* Whether the processes of all of them are on this host, and belong to the fleet of the layout. */
bool change_local_can(const struct change_list *c);

#endif
