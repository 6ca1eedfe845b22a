/* The doors between the core's own files. Nobody outside sentineld/core includes this. */
#ifndef CORE_INNER_H
#define CORE_INNER_H

#include <stdlib.h>
#include <string.h>

#include "common/base/mem.h"
#include "sentineld/core/state.h"

#define MS(ms) ((int64_t)(ms)*1000)
#define EARLIER(deadline, t) ((deadline) = (t) < (deadline) ? (t) : (deadline))

/* core.c: an object that an event has touched is evaluated before the step ends. */
void sn_touch_node(struct sn_node *n);
void sn_touch_peer(struct sn_peer *p);
void sn_touch_group(struct sn_group *g);
void sn_touch_fleet(struct sn_fleet *f);

/* publish.c: effects without a room of their own, and events in stock's words. `more` (a format) follows the `%@` part.
 */
struct sn_effect *sn_emit(struct sn_core *c, enum sn_effect_kind kind);
void sn_publish_inst(struct sn_inst *i, enum sn_level l, const char *event, const char *more, ...)
    __attribute__((format(printf, 4, 5)));
void sn_publish_seat(struct sn_seat *s, enum sn_level l, const char *event, const char *more, ...)
    __attribute__((format(printf, 4, 5)));
void sn_publish_group(struct sn_group *g, enum sn_level l, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5))); /* only the formatted text, tied to the group */
void sn_publish_core(struct sn_core *c, enum sn_level l, const char *event, const char *fmt, ...)
    __attribute__((format(printf, 4, 5))); /* tied to no master */
void sn_reconfig_script(struct sn_group *g, const char *role, const struct addr *from, const struct addr *to);

/* conn.c */
void sn_conn_init(struct sn_conn *conn, void *owner, int of);
void sn_conn_open(struct sn_core *c, struct sn_conn *conn);  /* from idle */
void sn_conn_close(struct sn_core *c, struct sn_conn *conn); /* from any state; reconnects after the backoff */
void sn_conn_lost(struct sn_core *c, struct sn_conn *conn, enum sn_down_why why);
void sn_conn_came(struct sn_core *c, struct sn_conn *conn);
bool sn_conn_gone(const struct sn_conn *conn); /* it broke or was refused, and is not up again */
struct sn_effect *sn_send(struct sn_core *c, struct sn_conn *conn, enum sn_command command);

/* probe.c */
void sn_probe_init(struct sn_probe *p, int64_t now);
void sn_probe_sent(struct sn_probe *p, int64_t now);
void sn_probe_answered(struct sn_probe *p, enum sn_pong pong, int64_t now); /* any valid sign of life: SN_PONG_OK */
void sn_probe_lost(struct sn_probe *p, int64_t now);
bool sn_probe_silent_for(const struct sn_probe *p, int64_t span_us, int64_t now);
void sn_stall(struct sn_core *c, int64_t late_us); /* we did not run: what went unanswered meanwhile is no evidence */

/* node.c */
struct sn_node *sn_node_get(struct sn_core *c, const struct addr *a); /* found or made */
void sn_node_release(struct sn_node *n);                              /* gone when no inst is left */
void sn_node_evaluate(struct sn_node *n);
void sn_node_up(struct sn_node *n, struct sn_conn *conn, const char *ip, const char *local_ip);
void sn_node_down(struct sn_node *n, struct sn_conn *conn, enum sn_down_why why);
void sn_node_pong(struct sn_node *n, enum sn_pong pong);
int64_t sn_node_down_after_us(const struct sn_node *n); /* the shortest of its groups */

/* facts.c */
void sn_node_info(struct sn_node *n, struct sn_info *info);
bool sn_follows(const struct sn_inst *i, const struct sn_node *master);

/* inst.c */
struct sn_inst *sn_inst_add(struct sn_group *g, struct sn_node *n);
void sn_inst_confirm(struct sn_inst *i); /* hidden by RESET, and seen again */
void sn_inst_remove(struct sn_inst *i);
struct sn_inst *sn_inst_find(const struct sn_group *g, const struct addr *a);
bool sn_same_process(const struct sn_inst *a, const struct sn_inst *b); /* known by two addresses */
bool sn_is_master(const struct sn_inst *i);
int64_t sn_inst_judge(struct sn_inst *i);  /* S_DOWN; returns when to look again */
int64_t sn_inst_repair(struct sn_inst *i); /* wrong role or wrong master; returns when to look again */
bool sn_master_looks_sane(const struct sn_group *g);

/* accept.c */
int64_t sn_inst_accept(struct sn_inst *i); /* replica-guard; returns when to look again */
void sn_accept_refused(struct sn_node *n, struct slice text);
void sn_note_life(struct sn_node *n, const runid before); /* after INFO; before: the run id until then */
void sn_note_keys(struct sn_node *n);                     /* after the number of keys was told */

/* peer.c */
struct sn_peer *sn_peer_new(struct sn_core *c, const char *id, const struct addr *a);
void sn_peer_remove(struct sn_peer *p);
struct sn_seat *sn_seat_get(struct sn_group *g, struct sn_peer *p); /* found or made */
struct sn_seat *sn_seat_find(const struct sn_group *g, const struct sn_peer *p);
void sn_seat_remove(struct sn_seat *s);
void sn_peer_evaluate(struct sn_peer *p);
void sn_peer_up(struct sn_peer *p, const char *ip);
void sn_peer_rename(struct sn_peer *p, const char *id); /* another process sits at its address now */
void sn_peer_down(struct sn_peer *p, enum sn_down_why why);
void sn_peer_pong(struct sn_peer *p, enum sn_pong pong);

/* ask.c: what supervisors ask each other, in batches */
void sn_want(struct sn_seat *s);       /* something in want_* was set */
void sn_ask_flush(struct sn_core *c);  /* at the end of a step */
void sn_ask_forget(struct sn_peer *p); /* the link is gone: nothing is under way */
void sn_opinions(struct sn_peer *p, const struct sn_opinion *o, size_t n);

/* greet.c: hello */
void sn_greet_node(struct sn_node *n);
bool sn_greet_on(struct sn_node *n, const struct sn_group *g); /* false: nothing of it may be told yet */
void sn_greet_seat(struct sn_seat *s);
void sn_greet_peer(struct sn_peer *p);
void sn_greet_about(struct sn_group *g); /* the configuration changed: tell everybody at once */
void sn_greeted(struct sn_core *c, struct slice text, bool direct);         /* direct: its sender told it to us */
void sn_heard_epoch(struct sn_core *c, struct sn_group *g, uint64_t epoch); /* g: in whose name it came, or NULL */
int64_t sn_heard_enough(struct sn_core *c, struct sn_group *g);             /* returns when to look again */
void sn_meet_others(struct sn_group *g,
                    bool at_run_time); /* it is new here: who else supervises it is to be found out first */
int64_t sn_meet_until(const struct sn_core *c, int64_t born_us, bool at_run_time);
bool sn_has_met_others(const struct sn_group *g);

/* group.c */
struct sn_group *sn_group_new(struct sn_core *c, const char *name, const struct addr *master,
                              const struct sn_settings *set);
void sn_group_free(struct sn_group *g);
void sn_group_evaluate(struct sn_group *g);
void sn_group_switch(struct sn_group *g, struct sn_inst *to,
                     uint64_t epoch); /* the one door by which a master changes */
/* The ballot behind a configuration that is learned: that to is the master at that epoch. 0: it is not known here. */
uint64_t sn_group_ballot(const struct sn_group *g, const struct sn_inst *to, uint64_t epoch);
void sn_group_reset(struct sn_group *g);    /* SENTINEL RESET */
void sn_group_info_now(struct sn_group *g); /* fresh facts about every node */
int64_t sn_group_tidy(struct sn_group *g);  /* forgets what RESET hid and nobody confirmed */

/* odown.c */
int64_t sn_odown_judge(struct sn_group *g); /* returns when to look again */
void sn_odown_began(struct sn_group *g);    /* the master is S_DOWN as of now */
void sn_odown_ended(struct sn_group *g);
void sn_odown_tilted(struct sn_group *g); /* tilt begins: what we say of the master counts no more, nor do we ask */

/* grant.c: leases of shards */
bool sn_node_leases(const struct sn_node *n);     /* it is asked by LEASE, not by PING */
bool sn_node_tells_view(const struct sn_node *n); /* with each LEASE: who asks for its text knows when it has changed */
int64_t sn_lease_period(const struct sn_node *n);
void sn_lease_ask(struct sn_node *n);
void sn_lease_told(struct sn_node *n, enum sn_command command, const struct sn_lease_told *t);
void sn_lease_refused(struct sn_node *n, struct slice text);
void sn_lease_link(struct sn_node *n);                                   /* its link is new */
int64_t sn_lease_ttl(const struct sn_group *g);                          /* 0: not under leases */
void sn_lease_vote(struct sn_group *g, const struct sn_inst *candidate); /* a vote is given to its promotion */
void sn_lease_cancelled(struct sn_group *g); /* that vote came to nothing, and nothing was sent */
/* What that vote grants to it, from now on; "" nothing. */
void sn_lease_vote_text(struct sn_group *g, const struct sn_inst *candidate, char out[SN_GRANT_TEXT]);
bool sn_lease_promotes(const struct sn_inst *candidate); /* it is to be promoted by EPOCH, with grants */
void sn_lease_promote(struct sn_group *g);
void sn_lease_returned_by(struct sn_inst *i);      /* it has given its lease back */
void sn_lease_return(struct sn_group *g);          /* asks the master to */
void sn_lease_taken(struct sn_inst *i);            /* it has answered OK to that */
int64_t sn_lease_wants_ballot(struct sn_group *g); /* from when on the incumbent needs one to be granted anything */
bool sn_may_be_empty(const struct sn_inst *i);     /* it has restarted, and has lost its data for all that is known */
bool sn_lease_in_doubt(const struct sn_group *g);  /* a vote of ours may have led to a promotion that nobody knows of */
void sn_list_init(struct sn_core *c, const struct sn_list *l);
/* No node counts our list, and some count another, whose supervisors may hold ballots: ours stand for nothing (M1). */
bool sn_list_waits(const struct sn_group *g);
void sn_list_free(struct sn_core *c);

/* select.c */
struct sn_inst *sn_select(struct sn_group *g, const struct addr *wanted);
bool sn_select_fresh(struct sn_group *g,
                     int64_t since_us); /* every replica that might be chosen has told its offset since */

/* election.c: standing */
int64_t sn_election_consider(struct sn_group *g);
int64_t sn_election_advance(struct sn_group *g);
void sn_election_start(struct sn_group *g, struct sn_inst *candidate);
void sn_election_durable(struct sn_group *g, uint64_t epoch); /* our own vote is on disk */
void sn_election_disk_failed(struct sn_group *g, uint64_t epoch);
bool sn_seat_votes_for_us(const struct sn_seat *s); /* in the ballot of its group */
void sn_election_lose(struct sn_group *g, const char *event);
int64_t sn_ballot_life_us(const struct sn_core *c, const struct sn_group *g);
/* How long a vote for somebody else's ballot binds the voter. */
int64_t sn_vote_life_us(const struct sn_core *c, const struct sn_group *g);

/* vote.c: voting for others */
void sn_ballots(struct sn_core *c, const struct sn_event *e);
bool sn_vote_locked(const struct sn_group *g);      /* a ballot of somebody else may still lead to a promotion */
int64_t sn_vote_lock_end(const struct sn_group *g); /* until when; a time that has passed: it is not so */
/* While it is so: whom it named, if who led it is gone and a further ballot may name the same again. NULL: nobody. */
struct sn_inst *sn_vote_heir(const struct sn_group *g);
void sn_vote_told(struct sn_group *g, const char *leader, uint64_t epoch); /* it is on disk: published */
void sn_vote_give(struct sn_group *g, const char *leader, uint64_t epoch, int64_t lock_us);

/* failover.c */
void sn_failover_elected(struct sn_group *g);
int64_t sn_failover_advance(struct sn_group *g);
void sn_failover_ack(struct sn_node *n, enum sn_command command, bool ok, struct slice text);
void sn_failover_drop(struct sn_group *g); /* the one door by which an attempt ends before its promotion is confirmed */
void sn_failover_abort(struct sn_group *g, const char *event);
void sn_failover_state(struct sn_group *g, enum sn_fo_state s);
void sn_publish_slaves(struct sn_group *g); /* the replicas of a new master */
void sn_promote(struct sn_group *g);        /* sends the promotion */
void sn_config_durable(struct sn_group *g); /* a configuration that we made is on disk: now it is told */

/* consent.c: hooks of the operator that may veto a failover between the election and the promotion */
void sn_consent_ask(struct sn_group *g);
int64_t sn_consent_advance(struct sn_group *g);
void sn_consent_verdict(struct sn_core *c, const struct sn_event *e);
void sn_failover_go_on(struct sn_group *g); /* failover.c: nothing stands against the promotion */

/* coordinated.c */
void sn_coordinated_begin(struct sn_group *g);
int64_t sn_coordinated_advance(struct sn_group *g);
void sn_coordinated_ack(struct sn_group *g, enum sn_command command, bool ok, struct slice text);
/* The master may be paused just now: a PUBLISH there would wait, and all that follows it, so that it looks silent. */
bool sn_switch_is_planned(const struct sn_group *g);
void sn_coordinated_returned(struct sn_inst *i); /* the master has given its lease back */
void sn_coordinated_undo(struct sn_group *g);    /* aborted: let the old master write again */

/* reconf.c */
int64_t sn_reconf_advance(struct sn_group *g);
void sn_follow(struct sn_inst *i); /* tells it to replicate from the group's master */

/* account.c: notes about decisions, with what they were made from (note.h). Nothing is decided there. */
enum sn_waiting {
    SN_WAITING_NOTHING,
    SN_WAITING_QUORUM,   /* too few supervisors hold the master for down */
    SN_WAITING_HEARD,    /* we have not heard enough epochs to vote */
    SN_WAITING_MEET,     /* the group is new here: others may not be known yet */
    SN_WAITING_DISK,     /* the state cannot be written */
    SN_WAITING_TILT,     /* we did not run for a while: what we saw is no evidence */
    SN_WAITING_VOTE,     /* our vote belongs to somebody else's ballot */
    SN_WAITING_ATTEMPT,  /* the last attempt failed: the next one comes later */
    SN_WAITING_OFFSETS,  /* the replicas are asked for their offsets */
    SN_WAITING_REPLICA,  /* no replica is suitable */
    SN_WAITING_OPERATOR, /* none that may be promoted without an operator's word */
    SN_WAITING_RANK,     /* others stand first */
    SN_WAITING_SWAPDB,   /* a swap of databases over the cluster is ended first */
    SN_WAITING_LIST,     /* no node counts our list of supervisors, and some count another */
    SN_WAITING_PAUSED,   /* an operator has switched automatic failovers off (pause.h) */
};
void sn_account_sdown(struct sn_inst *i);
void sn_account_odown(struct sn_group *g);
void sn_account_waiting(struct sn_group *g, enum sn_waiting why, int64_t until_us); /* 0: not by time */
void sn_account_stand(struct sn_group *g);
void sn_account_vote(struct sn_group *g, const char *from, const struct sn_ballot *b, const char *refused);
void sn_account_ballot(struct sn_group *g, enum sn_note_kind kind, const char *why); /* WON, LOST */
void sn_account_promoted(struct sn_group *g);
void sn_account_switched(struct sn_group *g);
void sn_account_converged(struct sn_group *g, bool timeout);
void sn_account_agreed(struct sn_shard *s, bool timeout);
void sn_account_aborted(struct sn_group *g, const char *why);
void sn_account_no_replica(struct sn_group *g, const struct addr *wanted); /* an operator's failover that cannot be */
void sn_account_config(struct sn_group *g, const struct sn_inst *master, const char *from, uint64_t epoch,
                       const struct addr *before, const struct addr *now);

void sn_set_group(struct sn_group *g, const struct sn_word *words, size_t nwords); /* change.c */
void sn_set_globals(struct sn_core *c, const struct sn_word *words, size_t nwords);

/* pause.c: of the list that the core has */
const struct sn_pause *sn_pause_of(const struct sn_group *g);  /* that holds now; NULL: none */
void sn_pauses_take(struct sn_core *c, struct sn_pauses *now); /* instead of those before; tells what is different */
void sn_pauses_record(const struct sn_pauses *p, struct sn_record *r); /* of the kind OPTION, filled in */
int64_t sn_pauses_run(struct sn_core *c); /* ends what is over; returns when to look again */
void sn_pauses_rename(struct sn_core *c, const char *from, const char *to);

/* reload.c */
bool sn_reload_removes(const struct sn_reload *r, const char *group);
const struct sn_reload_add *sn_reload_moves(const struct sn_reload *r, const char *group); /* NULL: it does not */
void sn_reload_records(struct sn_reload *r, struct sn_record **v, size_t *n, size_t *cap); /* moves r->records */
/* Gives what needs one its epoch. False: it must not be; `text` says why. */
bool sn_reload_prepare(struct sn_core *c, struct sn_reload *r, char *text, size_t size);
void sn_reload_apply(struct sn_core *c, const struct sn_reload *r);
bool sn_group_restore(struct sn_core *c, const struct sn_core_group *from); /* core.c, inside of a step */

/* persist.c */
void sn_dirty(struct sn_group *g);         /* its epochs, vote or master */
void sn_dirty_members(struct sn_group *g); /* its replicas or supervisors */
void sn_persist_flush(struct sn_core *c);  /* at the end of a step */
void sn_persisted(struct sn_core *c, uint64_t seq);
void sn_persist_failed(struct sn_core *c, uint64_t seq, struct slice why);
uint64_t sn_persist_next(struct sn_core *c); /* the number of this step's PERSIST; makes sure that there is one */
struct sn_pending *sn_wait(struct sn_core *c, uint64_t seq); /* something that happens when seq is on disk */
void sn_forget_waiting(struct sn_core *c, const struct sn_group *g);
int64_t sn_persist_retry(struct sn_core *c);
void sn_pending_free(struct sn_pending *w);
/* A record of something that is gone (RENAME: has another name), and so cannot be written with what is there. Repeated
 * until it is on disk. */
void sn_persist_extra(struct sn_core *c, enum sn_record_kind kind, const char *group, const char *fleet,
                      const char *value);

/* admin.c */
void sn_admin(struct sn_core *c, const struct sn_event *e);
void sn_answer(struct sn_core *c, sn_token token, enum sn_answer a, int64_t number, const char *text);
void sn_refuse(struct sn_core *c, sn_token token, const char *text); /* an ERROR */
#define SN_NO_SUCH_MASTER "ERR No such master with that name"

/* change.c */
struct sn_change;
void sn_change_order(struct sn_core *c,
                     const struct sn_event *e); /* of the kinds that are kept, see struct sn_change */
bool sn_removal_pending(const struct sn_core *c, const struct sn_group *g);
const struct sn_reload_add *sn_move_pending(const struct sn_core *c, const struct sn_group *g); /* to another master */
void sn_change_apply(struct sn_core *c, struct sn_change *ch);
void sn_change_refuse(struct sn_core *c, struct sn_change *ch, const char *why);
void sn_change_free(struct sn_change *ch);
void sn_change_records(const struct sn_change *ch, struct sn_record **v, size_t *n, size_t *cap);

#endif
