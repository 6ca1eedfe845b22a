/* What the files of the list commands share. */
#ifndef CMD_LIST_H
#define CMD_LIST_H

#include "noded/cmd/call.h"

#define ND_ONE_KEY(access)                           \
    {                                                \
        {                                            \
            .flags = (access), .first = 1, .step = 1 \
        }                                            \
    }

/* LEFT or RIGHT. false: "ERR syntax error" was answered. */
bool nd_list_side(struct nd_call *c, size_t i, bool *front);
/* A new list with its first element becomes the value of a key that is not there. */
struct nd_entry *nd_list_begin(struct nd_call *c, struct slice key, bool front, struct slice s);
/* After elements were taken from an end: event, deletion of an empty list with its event, what changed. */
void nd_list_popped(struct nd_call *c, struct slice key, struct nd_entry *e, bool front, int64_t n);
/* What blocking commands answer when their time is over. */
void nd_list_timeout(struct nd_call *c);

#endif
