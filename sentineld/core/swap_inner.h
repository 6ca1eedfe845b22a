/* The doors between the files that swap databases over a cluster (swap_*.c), and from the rest of the core to them.
 * Nobody outside sentineld/core includes this. */
#ifndef CORE_SWAP_INNER_H
#define CORE_SWAP_INNER_H

#include "sentineld/core/fleet_inner.h"

#define SN_SWAP_UNKNOWN "the supervisor that led it gave it up; its log tells why"

/* swap_fleet.c: the course of an attempt */
int64_t sn_swap_evaluate(struct sn_fleet *f); /* returns when to look again */
void sn_swap_free(struct sn_fleet *f);
void sn_swap_restore(struct sn_fleet *f, const struct sn_swap *has, const char *lists); /* lists as it is stored */
bool sn_swap_under_way(const struct sn_fleet *f); /* SAFETY W1: no master changes before it is ended */
void sn_swap_hurry(struct sn_fleet *f);           /* a failover waits for that */
void sn_swap_changed(struct sn_fleet *f);         /* the record did: it is persisted, and told after that */
void sn_swap_superseded(struct sn_fleet *f);      /* somebody else leads: ours is over */
void sn_swap_learned(struct sn_fleet *f, const struct sn_swap *theirs);
struct sn_swap_voter *sn_swap_voter_of(struct sn_fleet *f, const struct sn_peer *p); /* NULL: on no list */
bool sn_swap_durable(const struct sn_fleet *f);
int sn_swap_needed(const struct sn_fleet *f);
void sn_swap_voted(struct sn_fleet *f, int voter, const struct sn_swap *has); /* yes, in the phase of our lead */

/* swap_lists.c: changes of the list of supervisors */
void sn_swap_lists_restore(struct sn_fleet *f, const char *lists); /* NULL or "": no record is stored */
void sn_swap_hear(struct sn_fleet *f, struct sn_swap_voter *v, const struct sn_swap_word *w);
void sn_swap_heard_enough(struct sn_fleet *f); /* looks whether we may decide from now on */

/* swap_vote.c: other supervisors */
int64_t sn_swap_tell(struct sn_fleet *f); /* what is to be asked and told; returns when to look again */
void sn_swap_asked(struct sn_core *c, const struct sn_event *e);
void sn_swap_answered(struct sn_peer *p, const struct sn_event *e);
bool sn_swap_masters_change(const struct sn_fleet *f);
void sn_swap_lost(struct sn_peer *p); /* its link is gone */
void sn_swap_met(struct sn_peer *p);  /* its link is up, and it is one of ours */

/* swap_nodes.c: masters */
/* Why what masters said does not hold, and whose fault that is; NULL: it does. The text is in `out`. */
const char *sn_swap_broken(const struct sn_fleet *f, char out[SN_SWAP_WHY]);
const char *sn_swap_silent(const struct sn_fleet *f, char out[SN_SWAP_WHY]); /* who has not answered to PREPARE */
uint64_t sn_swap_version(const struct sn_fleet *f); /* the mapping that all masters have, when nothing hinders */
void sn_swap_prepare(struct sn_fleet *f);           /* all masters are asked */
bool sn_swap_all_said_yes(const struct sn_fleet *f);
int64_t sn_swap_mend(struct sn_fleet *f); /* every master is brought to what was decided */
bool sn_swap_everywhere(const struct sn_fleet *f, uint64_t version);
void sn_swap_ack(struct sn_node *n, enum sn_command command, bool ok, struct slice text);
bool sn_swap_concerns(const struct sn_node *n); /* its last answer to LEASE says something of swaps */
bool sn_swap_lets_lease(const struct sn_node *n);
bool sn_swap_lets_vote(const struct sn_node *n);    /* a grant may go with a vote for it */
bool sn_swap_lets_promote(const struct sn_node *n); /* the swaps that it lacks are known, or it lacks none */
/* A master whose client wants a swap that nobody has taken up; NULL: none. */
const struct sn_node *sn_swap_wished(const struct sn_fleet *f);

/* swap_order.c: who wants one */
void sn_swap_order(struct sn_core *c, const struct sn_event *e);
int64_t sn_swap_wants(struct sn_fleet *f, bool *now); /* whether to stand for one now; returns when to look again */
void sn_swap_want(const struct sn_fleet *f, struct sn_swap_entry *out);
void sn_swap_begun(struct sn_fleet *f); /* our lead proposes the attempt that was wanted */
int64_t sn_swap_settle(struct sn_fleet *f);
void sn_swap_forget_order(struct sn_fleet *f); /* the fleet goes: whoever waits is told */

#endif
