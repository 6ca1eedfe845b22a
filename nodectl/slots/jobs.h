/* The atomic migrations that a node tells of (CLUSTER GETSLOTMIGRATIONS): those under way, and the last that are
 * over. */
#ifndef NODECTL_SLOTS_JOBS_H
#define NODECTL_SLOTS_JOBS_H

#include "nodectl/slots/set.h"

#include <hiredis/hiredis.h>

struct slot_job {
    runid source, target;
    bool exports; /* the teller is the source */
    char state[24], message[256];
    struct slot_set slots;
    int64_t keys;       /* sent so far */
    int64_t left_bytes; /* not acknowledged */
    int64_t updated_s;  /* Unix time of its last step */
    int64_t acked_s;    /* ... and of the last word of the other end */
};

struct slot_jobs {
    struct slot_job *v; /* the newest first; owned */
    size_t n;
};

void slot_jobs_read(struct slot_jobs *out, const redisReply *r); /* an answer that is none: no jobs */
void slot_jobs_free(struct slot_jobs *j);
bool slot_job_is_over(const struct slot_job *j);
bool slot_sets_touch(const struct slot_set *a, const struct slot_set *b);

#endif
