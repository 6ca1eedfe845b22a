/* The doors between the files that know what a fleet is (fleet*.c, member.c, shard*.c), and from the rest of the core
 * to them. Nobody outside sentineld/core includes this. */
#ifndef CORE_FLEET_INNER_H
#define CORE_FLEET_INNER_H

#include "sentineld/core/fleet.h"
#include "sentineld/core/inner.h"

/* fleet.c */
struct sn_fleet *sn_fleet_new(struct sn_core *c, const char *name, const struct sn_settings *set);
void sn_fleet_free(struct sn_fleet *f); /* at once; its shards first */
void sn_fleet_evaluate(struct sn_fleet *f);
void sn_fleet_seeds(struct sn_fleet *f, const struct addr *seeds, size_t n); /* these from now on */
void sn_fleet_change(struct sn_core *c, const struct sn_reload_fleet *r);    /* added, or changed */
void sn_fleet_release(struct sn_fleet *f, sn_token token, bool joint);
void sn_fleet_freed(struct sn_node *n, bool ok, struct slice text); /* its answer to our word that it is nobody's */
void sn_fleet_doubt(struct sn_fleet *f); /* who belongs to it is changing: it is asked more often for a while */
bool sn_fleet_in_trouble(const struct sn_fleet *f);

/* joint.c: an operator's word that all supervisors of the list obey */
/* GIVE_UP or TAKE_ON: tells the others, does it here, and answers. */
void sn_joint_begin(struct sn_core *c, sn_token token, enum sn_command command, const char *name);
void sn_joint_own(struct sn_core *c, const char *name, const struct buf *left); /* done here, but for these nodes */
void sn_joint_ack(struct sn_peer *p, enum sn_command command, bool ok, struct slice text);
void sn_joint_forget(struct sn_peer *p);
int64_t sn_joint_run(struct sn_core *c); /* returns when to look again */
void sn_joint_free(struct sn_core *c);

/* fleet_hello.c: how supervisors of a fleet find each other, and what their shards are called */
struct sn_fleet *sn_fleet_of_name(const struct sn_core *c, struct slice group); /* of a shard's name, known or not */
void sn_fleet_seat(struct sn_fleet *f, struct sn_peer *p); /* in every shard; there, and heard of now */
void sn_fleet_seats_of(struct sn_group *g);                /* a new shard has the seats of the others */
int64_t sn_fleet_greet(struct sn_fleet *f);                /* returns when the next hello is due */
bool sn_fleet_hears(const struct sn_node *n);              /* hellos are listened to there */
void sn_fleet_choose_ears(struct sn_fleet *f);
/* A hello of that peer says another name for the master of one of our shards. */
void sn_fleet_other_name(struct sn_fleet *f, struct sn_peer *p, const struct sn_hello *h);
void sn_fleet_same_name(struct sn_group *g); /* a hello says the same one */

/* fleet_told.c: what CLUSTER NODES of a node tells */
void sn_node_told(struct sn_node *n, struct slice text);
void sn_fleet_viewed(struct sn_node *n); /* its word of itself came, with a digest of what its text would tell */
/* Its present text has been read since so long, by its digest; false too where it tells none. */
bool sn_member_was_read(const struct sn_member *m, int64_t since_us);
int64_t sn_node_nodes_due(const struct sn_node *n); /* when CLUSTER NODES is to be asked of it again */

/* member.c */
struct sn_member *sn_member_get(struct sn_fleet *f, const char *id);           /* found or made */
void sn_member_remove(struct sn_member *m);                                    /* it is in no shard */
bool sn_member_says(const struct sn_member *m, const struct sn_nodes_line *l); /* its LEASE says the same of it */
bool sn_member_speaks(
    const struct sn_member *m); /* it is linked and said who it is: its own word counts, and can be had */
void sn_member_ask(struct sn_member *m, int64_t pause_us); /* for its own word, unless asked in the last pause_us */
/* What a line says; true when something of it is new. */
bool sn_member_note(struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l, bool own);
void sn_member_at(struct sn_member *m, const struct addr *a, bool own); /* its address */
bool sn_member_forgotten(const struct sn_member *m);                    /* the cluster lists it no more */
/* What this text, which is the last one that came, says of it; NULL: nothing. */
const struct sn_nodes_line *sn_member_line(const struct sn_member *m, const struct sn_nodes *nodes);
void sn_member_identify(struct sn_node *n); /* n->self was told: who is there, who is not */
unsigned sn_slots_read(struct sn_slots *s, const struct sn_nodes *nodes, const struct sn_nodes_line *l);
bool sn_slots_meet(const struct sn_slots *a, const struct sn_slots *b);

/* shard.c */
struct sn_shard *sn_shard_new(struct sn_fleet *f, struct sn_member *m);
struct sn_shard *sn_shard_attach(struct sn_fleet *f, struct sn_group *g); /* to a group that is there */
void sn_shard_free(struct sn_shard *s);                                   /* with its group */
void sn_shard_drop(struct sn_shard *s); /* there is no such shard any more: told, and stored */
void sn_shard_rename(struct sn_shard *s, const char *name);
void sn_shard_slots(struct sn_shard *s, bool own); /* those of its master are as its member has them */
struct sn_inst *sn_shard_join(struct sn_shard *s, struct sn_member *m); /* NULL: it cannot be now */
void sn_shard_leave(struct sn_inst *i);                                 /* a replica is none of it any more */
void sn_shard_place(struct sn_member *m);                               /* where its facts say that it belongs */
void sn_shard_wished(struct sn_member *m); /* its answer to LEASE came, and may say that it needs an epoch */
/* A line says that a replica of the shard is its master: the cluster elected by itself, or another supervisor promoted.
 */
bool sn_shard_replaced(struct sn_member *m, const struct sn_nodes *nodes, const struct sn_nodes_line *l);
void sn_shard_newer(struct sn_shard *s, uint64_t epoch); /* its master has a higher config epoch */
int64_t sn_shard_tidy(struct sn_shard *s, bool *dropped);

/* freeze.c: migrations from and to a shard that is getting another master. Returns when to look again. */
int64_t sn_freeze_advance(struct sn_group *g);

/* fleet_switch.c: promotions */
struct sn_effect *sn_order_node(struct sn_node *n, enum sn_command command); /* and asks what came of it */
void sn_takeover(struct sn_group *g);                                        /* sends it */
uint64_t sn_takeover_epoch(const struct sn_group *g);                        /* confirmed: of the configuration */
void sn_cluster_failover(struct sn_group *g);                                /* sends the nodes' own planned switch */
bool sn_takeover_confirmed(const struct sn_group *g);                        /* by its own word */
int64_t sn_takeover_advance(struct sn_group *g);                             /* not yet: what to do about it */
void sn_replicate(struct sn_inst *i);                                        /* tells it to follow the shard's master */
bool sn_cluster_is_well(const struct sn_fleet *f); /* a majority of its masters can be reached */
void sn_fleet_switched(struct sn_group *g);        /* it has another master now */
int64_t sn_fleet_converge(struct sn_fleet *f);
void sn_fleet_assert(struct sn_node *n); /* no election by itself, or again by itself */
void sn_fleet_ack(struct sn_node *n, enum sn_command command, bool ok, struct slice text);

#endif
