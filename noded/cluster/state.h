/* The core's state, for the core's own files and for readers (tests, the simulator's checkers). Only the core writes
 * it.
 *
 * One door for each change that others build on: cl_slot_give() for the owner of a slot, cl_role_set() for who is whose
 * replica, cl_flags_set() for what a node is held for, cl_durable() for what must be on disk before it is told. */
#ifndef CLUSTER_STATE_H
#define CLUSTER_STATE_H

#include "common/base/heap.h"
#include "common/base/idmap.h"
#include "common/base/map.h"
#include "noded/cluster/core.h"
#include "noded/cluster/handover.h"
#include "noded/cluster/plant.h"
#include "noded/cluster/supervision.h"
#include "noded/cluster/wire.h"

/* No honest cluster comes near. A higher epoch from outside is ignored: it would leave no room above it. */
#define CL_EPOCH_MAX (UINT64_C(1) << 62)
#define CL_LINEAGE 4              /* masters before us that we know */
#define CL_BAN_S 60               /* a node that was forgotten is not taken in again for so long */
#define CL_ASK_US INT64_C(200000) /* the target of a hand-over is asked so long after the grant, and again */
#define CL_NODES_MAX 16000        /* numbers of nodes fit an owner's 16 bits, with room */

enum cl_link_state { CL_LINK_NONE, CL_LINK_CONNECTING, CL_LINK_UP };

struct cl_report {
    struct cl_node *by;
    int64_t at_us;
};

struct cl_node {
    struct heap_node timer; /* first */
    struct cl_id id, shard; /* shard: none while unknown (stock 7.0 has none) */
    uint16_t index;         /* in cl_core.nodes */
    uint16_t flags, other_port, port, bus_port;
    char ip[CL_IP_MAX];
    bool ours;               /* it says that it is a noded, */
    bool supervised;         /* and under supervisors */
    struct cl_id came_after; /* the master that it followed before it became one; none: it never did */
    bool extends;            /* it may get extensions beyond the host name */
    bool heard;              /* since this life began, or since it was met */
    char *hostname;          /* NULL: none */
    struct cl_node *master;  /* of a replica; NULL: unknown */
    struct cl_id follows;    /* of a replica: the master that it told and that is not known here yet; else none */
    uint64_t config_epoch, offset;
    uint64_t claim_epoch; /* config epoch of its last claim of slots, told by itself, */
    uint64_t slots_epoch; /* or by whomever, or by our disk: what it has of them it was not claiming by a newer one */
    uint64_t seen_epoch;  /* the newest current epoch that it told: what is older was overtaken */
    int64_t offset_us;    /* when it told the offset */
    uint8_t *slots;       /* NULL: none */
    int nslots;
    uint64_t slots_view;      /* their digest (common/base/view.h) */
    int64_t created_us;       /* known since */
    int64_t heard_us;         /* its last message on any link, or when it became known: the base of PFAIL */
    int64_t exchanged_us;     /* its last PING, PONG or MEET: the base of our next PING */
    int64_t tried_us;         /* we ask since then, without having heard it; 0: we don't */
    bool asking;              /* a PING is without answer on this link, */
    int64_t asked_us;         /* sent then */
    int64_t ping_ms, pong_ms; /* Unix: shown. ping_ms 0: no PING is without answer */
    int64_t failed_us;        /* FAIL since */
    int64_t voted_us;         /* a master: we voted for a replica of it; 0 never */
    struct cl_id voted_for;
    uint64_t state_version;   /* of our shard's state, as a replica of ours tells it */
    int64_t counted_until_us; /* so long it may think that we count it; 0: it was never told */
    int64_t left_us;          /* it was our replica, and said then that it is another's, perhaps in an old message */
    int64_t sibling_us;       /* until then it may be promoted as a replica of the master before us; 0 not so */
    int64_t frozen_until_us;  /* until then no migration from or to it goes on to its pause */
    uint64_t stamp;           /* of its clock, the newest that it told; 0 none */
    bool welcome;             /* a replica of ours: it was told that it counts since our link to it is up */
    bool absent;              /* a replica of ours that did not answer to a swap, and has not come to our state since */
    uint64_t ours_seq;        /* the file that has it first as a replica of ours */
    int64_t orphaned_us;      /* a master: without replicas that work, which it had, since; 0: not so */
    bool had_replicas;
    /* our own link to it */
    cl_link link;
    enum cl_link_state link_state;
    int64_t link_us; /* in this state since */
    int64_t retry_us, backoff_us;
    int64_t sent_ms;  /* Unix, of the last PING */
    cl_link incoming; /* the newest of its links to us; 0 none */
    struct cl_report *reports;
    size_t nreports, cap_reports;
};

/* A link that came in. */
struct cl_incoming {
    cl_link link;
    struct cl_node *node; /* who speaks there; NULL: not known yet */
    struct cl_id sender;  /* who it says that it is */
    int64_t since_ms;
    char ip[CL_IP_MAX], local_ip[CL_IP_MAX];
};

struct cl_open { /* a slot in a classic resharding */
    int slot;
    bool importing; /* else migrating */
    struct cl_node *node;
};

struct cl_waiting { /* an ANSWER that waits for the disk */
    cl_token token;
    uint64_t seq;
    char text[64];
};

struct cl_vote { /* a vote that waits for the disk */
    struct cl_id to;
    uint64_t epoch, seq;
};

/* Slots of a master that became a replica: nobody owns them until somebody claims them, but a claim that is older than
 * the last one is still none. */
struct cl_floor {
    uint64_t epoch;
    int64_t until_us;
    uint8_t slots[CL_SLOT_BYTES];
};

struct cl_ban {
    struct cl_id id;
    int64_t until_us;
    bool met; /* again, by an operator's word: it is banned no more, and who still tells of it is late */
};

/* What the headers of our messages claim: as it is known to be on disk. */
struct cl_claim {
    uint64_t current_epoch, config_epoch;
    uint16_t flags; /* CL_MASTER or CL_REPLICA */
    struct cl_id id, master, shard;
    uint64_t state_version, state_required;
    uint64_t generation; /* of who supervises it */
    uint8_t slots[CL_SLOT_BYTES];
    uint8_t kept[CL_SLOT_BYTES]; /* told to nobody: ours after a crash too, if only as the source of a hand-over */
};

enum cl_stand { CL_STAND_NOT, CL_STAND_DELAYED, CL_STAND_PERSISTING, CL_STAND_ASKING };

struct cl_election {
    enum cl_stand stand;
    uint64_t epoch, seq;
    int64_t begin_us; /* stands from then on */
    int64_t asked_us, until_us;
    int64_t again_us; /* not before; after one that failed */
    bool force;       /* of a manual failover: voters need not hold the master for failed */
    bool siblings_told;
    int rank, failures; /* failures: attempts in a row that did not get their votes */
    size_t nvotes, cap_votes;
    struct cl_id *votes;
};

struct cl_manual {
    int64_t end_us; /* 0: none is under way */
    /* the replica's side */
    bool asked; /* MFSTART was sent */
    bool can_start;
    int64_t master_offset; /* -1: not yet known */
    /* the master's side */
    struct cl_node *replica; /* NULL: not the master of one */
    int64_t told_us;
};

/* A migration that this node is an end of. */
struct cl_job {
    struct cl_id name, source, target;
    bool importing;
    enum cl_job_state state;
    uint8_t slots[CL_SLOT_BYTES];
    int64_t created_ms, updated_ms; /* Unix */
    int64_t until_us;               /* of a state that may not last; HEAP_NEVER */
    int tries;                      /* pauses that were begun */
    int64_t again_us;               /* the next one not before that */
    uint64_t seq;                   /* the file that has it first */
    bool begun;                     /* JOB_EXPORT was said: it is on disk */
    int restarts;                   /* so many before it were interrupted from outside */
    uint64_t snapshot_keys;         /* once the snapshot is over; not known any more behind a restart */
    char message[192];              /* has room for a refusal that names two nodes */
};

/* A hand-over that is not over, with what need not be known to others. */
struct cl_open_record {
    struct cl_record r;
    bool silent;      /* nobody has answered for so long that writes are refused */
    bool resuming;    /* the target has refused: our claim above it is on its way to the disk */
    bool comes_back;  /* the same, while a ballot is to give us an epoch above it */
    int64_t since_us; /* known here since */
    int64_t ask_us;   /* when to ask the target next; HEAP_NEVER: it was not told to take anything */
};

/* What the next master of the shard must know. A replica's is its master's. */
struct cl_shard_state {
    uint64_t version;  /* greater with each change, and of a later master greater than that of an earlier one */
    uint64_t required; /* the version that a replica must have to be elected */
    int database_a, database_b;
    uint64_t swap_epoch; /* of the mapping, by the last swap that was prepared; 0 none */
    bool swap_aborted;
    uint64_t swap_ballot; /* names the attempt at it, and what is said of an earlier one is void; 0: nobody named one */
    struct cl_open_record *records;
    size_t nrecords, cap_records;
};

struct cl_refusal { /* a CL_SAY_NOT */
    struct cl_id to;
    struct cl_record r; /* with those slots that are refused */
    uint64_t seq;
    bool replicas_know; /* some may hold that we are taking the slots, and would take them in our place */
};

/* Somebody who waits until our replicas have a version of the state. */
struct cl_agreement {
    cl_token token;
    uint64_t version;
    int64_t since_us;
};

/* A client's SWAPDB, which waits until the supervisors have decided (wish.c). */
struct cl_wish {
    cl_token token;
    int a, b;
    uint64_t request; /* names it, in this life and all others */
    enum { CL_WISH_NEW, CL_WISH_PREPARED, CL_WISH_APPLIED } state;
    uint64_t ballot;  /* PREPARED: of the attempt that was made for it */
    uint64_t version; /* APPLIED: the mapping that came of it */
    int64_t until_us;
};

/* A SETSLOT NODE that waits until the owner has said how many keys of the slot it holds. */
struct cl_keys_ask {
    cl_token token;
    struct cl_id node;
    int slot;
    bool slot_has_keys; /* as it was commanded */
    uint64_t question;
    int64_t until_us;
};

enum cl_wait_for { CL_WAIT_SLOT, CL_WAIT_BUMP, CL_WAIT_LEASE };

/* A command that waits for a ballot. */
struct cl_epoch_wait {
    cl_token token;
    enum cl_wait_for what; /* SETSLOT NODE with our own name, BUMPEPOCH, SETSLOT IMPORTING */
    int slot;
    bool slot_has_keys;
    uint64_t above; /* of which our config epoch has to be */
    int64_t until_us;
};

struct cl_core {
    struct rng rng;
    struct cl_settings set;
    struct cl_facts facts;
    int64_t now_us, unix_ms, deadline_us, start_us;
    int64_t early_us;      /* what is due so soon may be done now */
    int64_t late_us;       /* when we last found that we had been stopped */
    struct cl_effects *fx; /* of the step that runs */
    struct heap heap;
    struct cl_node *me;
    struct cl_node **nodes;          /* by index; NULL where none is */
    size_t nnodes, cap_nodes, known; /* indexes in use, room, nodes */
    struct map by_id;
    struct idmap outs, ins; /* links: to nodes, to struct cl_incoming by the number without CL_INCOMING */
    uint64_t last_link;
    int64_t last_try_us;      /* of a link that was lost: those of many are in turn (links.c) */
    uint16_t owner[CL_SLOTS]; /* index + 1; 0: nobody */
    int assigned;
    uint8_t unclaimed[CL_SLOT_BYTES]; /* slots whose owner says that they are not its own: whoever claims them has them,
                                         but nobody is left without owner meanwhile */
    bool some_unclaimed;              /* there may be such */
    uint64_t *left_at; /* by slot: no newer epoch has claimed an unclaimed one for its owner; NULL: none was such yet */
    uint8_t claimed[CL_SLOT_BYTES];    /* scratch of cl_head() */
    uint8_t open_slots[CL_SLOT_BYTES]; /* slots in `open` */
    struct cl_open *open;
    size_t nopen, cap_open;
    uint64_t current_epoch, last_vote_epoch;
    uint8_t *lost_slots; /* to be dropped at the end of the step; NULL none */
    uint8_t *given_up;   /* that an operator took from us, and nobody has yet (DELSLOTS); NULL none */
    /* disk */
    struct cl_claim claim, pending; /* told; in the file that is being written */
    bool speaks;                    /* the claim is on disk: we may be heard */
    bool changed_now, changed;      /* not yet in a file: must be before it is told; may wait a while */
    int64_t save_us;                /* when `changed` is to be written at the latest */
    uint64_t issued, persisted;     /* the last PERSIST, the last PERSISTED */
    bool writing;                   /* it is under way */
    bool promoting;                 /* PROMOTE waits for the disk */
    bool mapping_doubted;           /* see cl_mapping_doubted() */
    int64_t persist_again_us;       /* the last one has failed; 0 it has not */
    struct cl_waiting *waiting;
    size_t nwaiting, cap_waiting;
    struct cl_vote *votes;
    size_t nvotes, cap_votes;
    uint64_t vote_floor; /* voted, or perhaps voted, in every epoch up to it */
    uint64_t *voted;     /* epochs above it in which we voted */
    size_t nvoted, cap_voted;
    /* the cluster as a whole */
    bool ok, looks;      /* looks: the state is to be found anew at the end of the step */
    const char *why_not; /* static text */
    int size;            /* masters with slots */
    int64_t state_us;    /* when to look by time; HEAP_NEVER */
    bool in_minority;
    int64_t minority_us; /* when we were last in a minority, and were so no longer; 0 never */
    bool restarted;      /* with slots that were ours before */
    bool begun;          /* the first step was made */
    struct cl_election election;
    struct cl_manual manual;
    int64_t migrate_us;       /* replica migration: when to look; HEAP_NEVER */
    uint64_t migrate_version; /* at which nobody was an orphan */
    struct cl_job **jobs;     /* the newest last */
    size_t njobs, cap_jobs;
    size_t live_jobs;
    struct cl_shard_state shard;
    struct cl_id before[CL_LINEAGE]; /* masters whose place we have taken, the newest first; none: no more */
    bool shares_shard;               /* with another master, as it was seen last, */
    int64_t shard_look_us;           /* and when to look again */
    struct cl_wish *wishes;          /* the oldest first */
    size_t nwishes, cap_wishes;
    uint64_t wished;
    bool supervised; /* swaps of databases are decided outside: it has supervisors (or a test says so) */
    struct cl_supervision lease;
    uint8_t held[CL_SLOT_BYTES]; /* slots of ours to which writes wait or are refused */
    size_t nheld;
    uint64_t refused_epoch;     /* no grant is taken that is not above it */
    uint64_t untaken_epoch;     /* up to it a hand-over may have been begun to be taken here, and then was not */
    int64_t tell_state_us;      /* when replicas that lack the state get it again */
    int64_t uncounted_until_us; /* a replica that was counted is unknown by now, and may think until then that it is */
    int64_t word_us;            /* a replica: the moment that its master's last word of this speaks of; at first when
                                   it began to follow this one */
    int64_t counted_us;         /* the same, if the word was that it counts; else 0 */
    int64_t counted_leased_us;  /* the same, of a master that held a lease then */
    int64_t counted_for_us;     /* and how long it counts from then on, */
    uint64_t counted_required;  /* with what version of the state */
    uint64_t master_version;    /* the newest version that it told beside a claim; 0: none yet */
    bool state_heard;           /* it has a state of this master: older ones come late */
    int64_t held_us;            /* databases wait to be swapped since then; 0: none do */
    bool held_told;             /* ... for long, and the log says so */
    struct cl_agreement *agreements;
    size_t nagreements, cap_agreements;
    struct cl_refusal *refusals; /* that wait for the disk */
    size_t nrefusals, cap_refusals;
    struct cl_floor *floors;
    size_t nfloors, cap_floors;
    struct cl_ban *bans;
    size_t nbans, cap_bans;
    struct cl_keys_ask *keys_asks;
    size_t nkeys_asks, cap_keys_asks;
    struct cl_epoch_wait *epoch_waits;
    size_t nepoch_waits, cap_epoch_waits;
    struct buf scratch;
    uint64_t sent[CL_TYPES], received[CL_TYPES];
    uint64_t version; /* goes up when what describe.h says (but for times) may have changed */
};

/* members.c */
struct cl_node *cl_node_find(const struct cl_core *c, const struct cl_id *id);
struct cl_node *cl_node_find_text(const struct cl_core *c, struct slice text);          /* NULL too when it is no id */
struct cl_node *cl_node_new(struct cl_core *c, const struct cl_id *id, uint16_t flags); /* NULL: too many */
void cl_node_remove(struct cl_core *c, struct cl_node *n);
void cl_node_rename(struct cl_core *c, struct cl_node *n, const struct cl_id *id);
void cl_node_address(struct cl_core *c, struct cl_node *n, const char *ip, uint16_t port, uint16_t bus_port,
                     uint16_t other_port);
void cl_flags_set(struct cl_core *c, struct cl_node *n, uint16_t on, uint16_t off);
void cl_role_set(struct cl_core *c, struct cl_node *n, struct cl_node *master); /* NULL: it is a master */
void cl_shard_name(struct cl_core *c); /* we are a master: of a shard that has a name */
void cl_hostname_set(struct cl_core *c, struct cl_node *n, struct slice name);
bool cl_banned(const struct cl_core *c, const struct cl_id *id);
void cl_ban(struct cl_core *c, const struct cl_id *id, int64_t seconds); /* at most CL_BAN_S */
void cl_ban_end(struct cl_core *c, const struct cl_id *id);              /* it is met again */
bool cl_ban_ended(const struct cl_core *c, const struct cl_id *id);      /* ... a moment ago */
struct cl_node *cl_handshake(struct cl_core *c, const char *ip, uint16_t port, uint16_t bus_port, bool meet);
int cl_replicas_of(const struct cl_core *c, const struct cl_node *master, bool working);
/* for (size_t it = 0; (n = cl_each(c, &it)) != NULL;) all nodes, oneself included; removing the shown one is allowed */
struct cl_node *cl_each(const struct cl_core *c, size_t *it);
bool cl_votes_here(const struct cl_node *n); /* a master with slots */

static inline bool cl_has(const struct cl_node *n, unsigned flags)
{
    return (n->flags & flags) != 0;
}

/* A node of another kind, which knows database 0 only. Of one that was not heard yet nobody knows. */
static inline bool cl_is_stock(const struct cl_node *n)
{
    return n->heard && !n->ours;
}

/* links.c */
void cl_node_tick(struct cl_core *c, struct cl_node *n); /* all that is due by time; sets its timer; may remove it */
bool cl_ask_early(struct cl_core *c, struct cl_node *n); /* false: it is not to be asked soon */
void cl_tick_soon(struct cl_core *c, struct cl_node *n);
void cl_link_close(struct cl_core *c, struct cl_node *n);
void cl_link_up(struct cl_core *c, const struct cl_event *e);
void cl_link_down(struct cl_core *c, const struct cl_event *e);
void cl_accepted(struct cl_core *c, const struct cl_event *e);
void cl_heard(struct cl_core *c, struct cl_node *n);
void cl_exchanged(struct cl_core *c, struct cl_node *n, bool answer); /* its PING or MEET, or its answer to ours */
void cl_master_known(struct cl_core *c, struct cl_node *n); /* replicas that were known before it are its own */
void cl_incoming_close(struct cl_core *c, cl_link link);    /* a link of theirs to us */
void cl_incoming_adopt(struct cl_core *c,
                       struct cl_node *n); /* it is known now: the link that it spoke on is its own */
struct cl_incoming *cl_incoming_find(const struct cl_core *c, cl_link link);

/* send.c */
void cl_head(struct cl_core *c, enum cl_type type, struct cl_header *out);
void cl_send_greeting(
    struct cl_core *c, cl_link link, struct cl_node *to, enum cl_type type,
    const struct cl_node *about); /* PING, PONG, MEET with gossip; about (may be NULL): told for sure */
bool cl_send_to(struct cl_core *c, struct cl_node *to,
                struct buf *message); /* over our own link, or else its; false: none */
void cl_tell_all(struct cl_core *c);  /* our claim, as a PONG to everybody */
void cl_tell_siblings(struct cl_core *c);
void cl_tell_failed(struct cl_core *c, const struct cl_node *failed);
void cl_tell_failed_to(struct cl_core *c, const struct cl_node *failed, struct cl_node *to);
void cl_send_update(struct cl_core *c, cl_link link, const struct cl_node *about);
/* records: as many as h says; NULL: none */
void cl_send_handover(struct cl_core *c, struct cl_node *to, const struct cl_handover *h,
                      const struct cl_record *records);
void cl_send_publish(struct cl_core *c, const struct cl_event *e);

/* message.c */
void cl_received(struct cl_core *c, const struct cl_event *e);
/* gossip.c */
void cl_gossip_read(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);
void cl_extensions_read(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);

/* failure.c */
void cl_suspect(struct cl_core *c, struct cl_node *n); /* PFAIL */
void cl_failed(struct cl_core *c, struct cl_node *n, bool tell);
void cl_fail_if_agreed(struct cl_core *c, struct cl_node *n);
void cl_works_again(struct cl_core *c, struct cl_node *n);
void cl_report_add(struct cl_core *c, struct cl_node *n, struct cl_node *by);
void cl_report_drop(struct cl_core *c, struct cl_node *n, const struct cl_node *by);
void cl_reports_forget(struct cl_core *c, const struct cl_node *by); /* everywhere */
int cl_reports_count(struct cl_core *c, struct cl_node *n);

/* config.c: nodes.conf */
void cl_config_write(struct cl_core *c, struct buf *out);
/* describe.c: one line as in nodes.conf and CLUSTER NODES, without line end */
void cl_line_write(const struct cl_core *c, struct buf *out, const struct cl_node *of, bool with_aux);

/* slots.c */
struct cl_node *cl_owner(const struct cl_core *c, int slot);       /* NULL: nobody */
void cl_slot_give(struct cl_core *c, int slot, struct cl_node *n); /* n NULL: to nobody */
void cl_slot_give_up(struct cl_core *c, int slot);                 /* to nobody; ours: keys of it are not forgotten */
void cl_slots_drop(struct cl_core *c, struct cl_node *n);
void cl_slots_not_claimed(struct cl_core *c, struct cl_node *n, const uint8_t *slots); /* all but these of its own */
void cl_slots_yield(struct cl_core *c, struct cl_node *n);                             /* it is no master any more */
struct cl_open *cl_open_find(const struct cl_core *c, int slot, bool importing);
void cl_open_set(struct cl_core *c, int slot, bool importing, struct cl_node *n);
void cl_open_clear(struct cl_core *c, int slot, bool importing);
void cl_open_clear_all(struct cl_core *c);
void cl_slots_claimed(struct cl_core *c, struct cl_node *by, uint64_t epoch, const uint8_t *slots);
/* The highest epoch at which a slot that has no owner, or one that does not claim it, was owned lately; 0 none. */
uint64_t cl_slot_floor(struct cl_core *c, int slot);
/* The epoch by which its owner was heard to claim it last, at most; 0 nobody has it. */
uint64_t cl_claimed_at(const struct cl_core *c, int slot);
void cl_follow(struct cl_core *c, struct cl_node *master); /* we become its replica */

/* epochs.c */
void cl_epoch_heard(struct cl_core *c, uint64_t epoch);
void cl_collision(struct cl_core *c, struct cl_node *sender);
bool cl_bump_epoch(struct cl_core *c, bool always); /* without consensus; false: ours is the greatest already */
bool cl_is_at_the_top(const struct cl_core *c);     /* nobody's epoch is as great as ours */
void cl_update_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);

/* voter.c, election.c, manual.c, migration.c */
void cl_vote_asked(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);
void cl_votes_send(struct cl_core *c);
void cl_vote_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);
void cl_election_run(struct cl_core *c);
void cl_election_stop(struct cl_core *c);
/* A voter is asked again: the request may have gone into a link that was dead already. */
void cl_election_link_up(struct cl_core *c, struct cl_node *n);
int64_t cl_election_deadline(const struct cl_core *c);
bool cl_succeeds(const struct cl_core *c, const struct cl_id *master); /* we have taken its place, or its successor's */
void cl_succeeded(struct cl_core *c, const struct cl_id *master);      /* it is one of those before us */
void cl_take_over(struct cl_core *c);                       /* our master's slots are ours, at our config epoch */
void cl_take_slots(struct cl_core *c, struct cl_node *old); /* all that it claims, but for those of open records */
void cl_manual_asked(struct cl_core *c, struct cl_node *sender);
void cl_manual_offset(struct cl_core *c, const struct cl_header *h, const struct cl_node *sender);
void cl_manual_run(struct cl_core *c);
void cl_manual_end(struct cl_core *c);
int64_t cl_manual_deadline(const struct cl_core *c);
void cl_migration_run(struct cl_core *c);

/* health.c */
void cl_health_run(struct cl_core *c);
/* It has been long enough with a majority to have heard what became of its slots. */
bool cl_is_informed(const struct cl_core *c);
/* And holds its lease, where leases are: it may raise its own epoch, which speaks for all of them, without being asked
 * to by an operator. */
bool cl_is_sure(const struct cl_core *c);

/* command.c */
void cl_command_run(struct cl_core *c, const struct cl_event *e);
void cl_reset(struct cl_core *c, bool hard);

/* setslot.c */
void cl_setslot(struct cl_core *c, cl_token token, const struct cl_command *m);
/* The node that a command names; NULL: it is unknown, or is only being met and has no id of its own yet. */
struct cl_node *cl_command_node(const struct cl_core *c, const struct cl_command *m);
/* What is being migrated is not touched by hand: true: the error was answered. */
bool cl_slot_is_moving(struct cl_core *c, cl_token token, int slot);
void cl_keys_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);
/* A slot that leaves by hand, and is taken by whom it leaves for: keys that are still here stay. */
void cl_keys_kept(struct cl_core *c, int slot);
void cl_keys_left(struct cl_core *c, int slot); /* the same of one that was given up before: it is not opened */
void cl_keys_counted(struct cl_core *c, const struct cl_event *e);
void cl_setslot_run(struct cl_core *c);
int64_t cl_setslot_deadline(const struct cl_core *c);

/* shard.c: the state that the next master needs */
struct cl_open_record *cl_record_find(const struct cl_core *c, const struct cl_id *job);
struct cl_open_record *cl_record_of_slot(const struct cl_core *c, int slot); /* NULL: none is open */
void cl_record_loaded(struct cl_core *c, const struct cl_record *r);
void cl_record_open(struct cl_core *c, const struct cl_record *r);
void cl_record_close(struct cl_core *c, struct cl_open_record *r);
void cl_records_forget(struct cl_core *c); /* all, without a word */
void cl_state_changed(struct cl_core *c, bool required);
/* The state is on disk here and at every replica that may be elected. */
bool cl_state_agreed(const struct cl_core *c);
bool cl_state_is_open(const struct cl_core *c); /* a hand-over or a swap is, as far as this node knows */
void cl_state_put(struct cl_core *c, struct buf *out, struct cl_node *to); /* the extension, where it belongs */
void cl_state_told(struct cl_core *c, struct slice body, struct cl_node *sender);
/* What a message says of claims, beside what its sender has told before: what comes on one of the two links may be
 * older than what came on the other. UNSAID: it does not tell; slots that it does not claim may be its own. */
enum cl_order { CL_ORDER_NEW, CL_ORDER_OLD, CL_ORDER_UNSAID };
enum cl_order cl_state_order(struct cl_core *c, const struct cl_message *m, const struct cl_node *sender);
void cl_state_left(struct cl_core *c, struct cl_node *n); /* it has said so again when it was asked */
/* A replica of ours that is new, or was restarted, is told that it counts, and does not have to wait for our next PING:
 * until it knows, nobody takes our place. Under leases it has to hear that from a master that holds one. */
void cl_state_welcome(struct cl_core *c, struct cl_node *n);
void cl_state_leased(struct cl_core *c); /* a grant has come */
void cl_state_received(struct cl_core *c, const struct cl_message *m, struct cl_node *sender);
void cl_state_persisted(struct cl_core *c, uint64_t before);
void cl_state_run(struct cl_core *c);
int64_t cl_state_deadline(const struct cl_core *c);
void cl_shard_run(struct cl_core *c); /* one master in a shard; looked at when something happens anyway */
int64_t cl_counted_for_us(const struct cl_core *c);
void cl_state_follows(struct cl_core *c, const struct cl_node *master); /* another one than before */
/* A replica of the master that we replace, whose lease has ended after wait_ms at the latest. */
void cl_state_sibling(const struct cl_core *c, struct cl_node *n, int64_t wait_ms);
bool cl_state_known_by_lease(const struct cl_core *c); /* it was counted under a lease, not too long ago */
void cl_state_restarted(struct cl_core *c);
void cl_node_uncounted(struct cl_core *c, const struct cl_node *n);
void cl_handover_send(struct cl_core *c, struct cl_node *to, enum cl_say say, const struct cl_record *r);

/* config_state.c: their variables in nodes.conf */
void cl_config_state_write(const struct cl_core *c, struct buf *out);
/* NULL: taken; "": another variable; else what is wrong. */
const char *cl_config_state_read(struct cl_core *c, struct slice name, struct slice value);

/* disk.c */
void cl_durable(struct cl_core *c);     /* changed what must be on disk before it is told */
void cl_saved_later(struct cl_core *c); /* changed what is only worth to be kept */
void cl_answer_durable(struct cl_core *c, cl_token token, const char *text);
void cl_persist_run(struct cl_core *c);
void cl_persisted(struct cl_core *c, const struct cl_event *e);
void cl_persist_failed(struct cl_core *c, const struct cl_event *e);
void cl_claim_loaded(struct cl_core *c);       /* what was read is on disk */
uint64_t cl_next_seq(const struct cl_core *c); /* the file that will hold what changed just now */

/* core.c */
void cl_own_address(struct cl_core *c); /* as the settings have it */

static inline int64_t cl_timeout_us(const struct cl_core *c)
{
    return c->set.node_timeout_ms * 1000;
}

/* A command is refused: its error is answered, and the function left, or left with false. */
#define FAIL_WITH(c, token, ...)                                       \
    do {                                                               \
        cl_effect_answer((c)->fx, (token), false, "ERR " __VA_ARGS__); \
        return;                                                        \
    } while (0)
#define REFUSE(c, token, ...)                                          \
    do {                                                               \
        cl_effect_answer((c)->fx, (token), false, "ERR " __VA_ARGS__); \
        return false;                                                  \
    } while (0)

/* "%.*s" of a slice, bounded: an id that is none may be of any length. */
#define SHOWN(s) (int)((s).n < 128 ? (s).n : 128), (s).p

#define CL_LOG(c, level, ...) cl_effect_log((c)->fx, CL_LOG_##level, __VA_ARGS__)

#include "noded/cluster/moving.h"

#endif
