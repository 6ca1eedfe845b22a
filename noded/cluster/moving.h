/* What moves: slots with migrations and hand-overs, config epochs by ballot, databases that are swapped. The second
 * half of state.h, which includes it. */
#ifndef CLUSTER_MOVING_H
#define CLUSTER_MOVING_H

#include "noded/cluster/state.h"

/* jobs.c */
struct cl_job *cl_job_find(const struct cl_core *c, const struct cl_id *name); /* NULL too when it is over */
struct cl_job *cl_job_new(struct cl_core *c, const struct cl_id *name, bool importing, const struct cl_id *source,
                          const struct cl_id *target, const uint8_t *slots);
void cl_job_enter(struct cl_core *c, struct cl_job *j, enum cl_job_state state, int64_t until_us);
void cl_job_end(struct cl_core *c, struct cl_job *j, enum cl_job_state state, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
const struct cl_job *cl_job_of_slot(const struct cl_core *c, int slot); /* a live one */
void cl_jobs_command(struct cl_core *c, cl_token token, const struct cl_command *m);
void cl_jobs_news(struct cl_core *c, const struct cl_event *e);
void cl_jobs_run(struct cl_core *c);
int64_t cl_jobs_deadline(const struct cl_core *c);
void cl_jobs_not_durable(struct cl_core *c, uint64_t seq);
void cl_jobs_restarted(struct cl_core *c);
bool cl_jobs_give_way(struct cl_core *c, const char *why); /* ends all; false: some are granted, and stay */
void cl_jobs_end_all(struct cl_core *c, const char *why);
void cl_jobs_free(struct cl_core *c);

/* cancel.c */
void cl_jobs_cancel(struct cl_core *c, cl_token token);

/* handover_claims.c */
/* It has slots that are not being handed over, as far as we know: those stay with a master that was replaced. */
bool cl_claims_some(const struct cl_core *c, const struct cl_node *n);
/* It may speak for the target of a hand-over: it is that, its master, or a master of its shard. */
bool cl_may_speak_for(const struct cl_core *c, const struct cl_node *n, const struct cl_id *target);
bool cl_has_replaced(const struct cl_core *c, const struct cl_node *n, const struct cl_node *other); /* of one shard */
/* The master that speaks for the shard of that node, which may be itself. NULL: none is known. */
struct cl_node *cl_speaker_of(const struct cl_core *c, const struct cl_id *target);
/* The master of our shard that has replaced us, although we hold ourselves for its master still. NULL: none. */
struct cl_node *cl_replaced_by(const struct cl_core *c);
/* Nobody but the side that gave the slot claims it. */
bool cl_is_unclaimed(const struct cl_core *c, const struct cl_record *r, int slot);
bool cl_all_unclaimed(const struct cl_core *c, const struct cl_record *r, bool value); /* of all its slots: is it so? */

/* handover_source.c */
void cl_handover_resume(struct cl_core *c, struct cl_open_record *r);
void cl_handover_source_run(struct cl_core *c, struct cl_open_record *r); /* closes it when the answer is there */
void cl_handover_refused(struct cl_core *c, const struct cl_record *said, struct cl_node *sender);
void cl_handover_held(struct cl_core *c, const struct cl_record *r, struct cl_node *sender);
/* Tells n, which claims the slot at an old epoch, of an open record. false: there is none, or its claim is newer. */
bool cl_handover_correct(struct cl_core *c, struct cl_node *n, int slot, uint64_t epoch);

/* handover.c: records, from the grant on */
void cl_handover_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);
void cl_handover_run(struct cl_core *c);
int64_t cl_handover_deadline(const struct cl_core *c);
void cl_handover_take(struct cl_core *c, struct cl_job *j, uint64_t epoch);
void cl_handover_inherit(struct cl_core *c); /* this replica is a master now, and has its master's slots */
void cl_handover_restarted(struct cl_core *c);
void cl_handover_promoted(struct cl_core *c);    /* behind CL_FX_PROMOTE */
void cl_held_find(struct cl_core *c);            /* which slots are held, anew */
void cl_held_given(struct cl_core *c, int slot); /* ours now: held until the disk knows */

/* frozen.c */
bool cl_is_frozen(const struct cl_core *c, const struct cl_id *node);
void cl_freeze(struct cl_core *c, cl_token token, const struct cl_command *m);
bool cl_job_find_target(struct cl_core *c, struct cl_job *j); /* false: it does not begin yet */
bool cl_job_must_wait(const struct cl_core *c, const struct cl_job *j);
/* It waits for whoever speaks for its target, and that is this node: the target has come into our shard. */
bool cl_job_leads_back(const struct cl_core *c, const struct cl_job *j);
/* Another job in its place, under a new name. false: it is not to be tried again. */
bool cl_job_restart(struct cl_core *c, const struct cl_job *old, struct cl_id *name);
const char *cl_job_waits_for(const struct cl_core *c, const struct cl_job *j); /* static text; "" nothing */
int64_t cl_frozen_deadline(const struct cl_core *c);

/* epoch_wish.c: epochs by ballot */
uint64_t cl_wants_epoch(const struct cl_core *c); /* the lowest config epoch that would do; 0: none is needed */
/* Epochs are its own to take, or it is leased and claims at one above that, on disk. */
bool cl_epoch_suffices(const struct cl_core *c, uint64_t above);
bool cl_is_homeless(const struct cl_core *c); /* supervised, or about to be, without slots and lease */
bool cl_may_take(const struct cl_core *c, const struct cl_job *j); /* the slots of this job, if they were granted now */
bool cl_target_is_above(const struct cl_core *c, const struct cl_job *j); /* its slots can be granted at its epoch */
uint64_t cl_epoch_of_grant(const struct cl_core *c, const struct cl_job *j, uint64_t said);
/* The command is answered when there is a lease with a config epoch above that, or with an error after some seconds. */
void cl_epoch_wait(struct cl_core *c, cl_token token, enum cl_wait_for what, int slot, bool slot_has_keys,
                   uint64_t above);
void cl_epoch_wish_run(struct cl_core *c);
int64_t cl_epoch_wish_deadline(const struct cl_core *c);

/* dbmap.c */
void cl_dbmap_command(struct cl_core *c, cl_token token, const struct cl_command *m);
void cl_dbmap_run(struct cl_core *c);
int64_t cl_dbmap_deadline(const struct cl_core *c);

/* wish.c */
void cl_wish_command(struct cl_core *c, cl_token token, const struct cl_command *m); /* SWAP_WISH, DBMAP_DONE */
bool cl_wish_prepared(struct cl_core *c, uint64_t request, uint64_t ballot); /* false: nobody waits for it any more */
void cl_wish_applied(struct cl_core *c, uint64_t ballot, uint64_t version);
void cl_wish_aborted(struct cl_core *c, uint64_t ballot, struct slice why);
void cl_wish_run(struct cl_core *c);
int64_t cl_wish_deadline(const struct cl_core *c);

#endif
