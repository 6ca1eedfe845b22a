/* A world of supervised clusters: supervisors over nodes, both with their shipped cores, their network, disks,
 * clocks and data, on one timeline of virtual microseconds. Everything follows from the plan and its seed; nothing
 * here reads a clock or a random source.
 *
 * Ends of the network: supervisors first, then nodes. A node belongs to the shard of its number for ever; its id it
 * loses with its disk. */
#ifndef FLEET_WORLD_H
#define FLEET_WORLD_H

#include "noded/cluster/core.h"
#include "noded/cluster/lease.h"
#include "sentineld/core/lease.h"
#include "sentineld/core/effect.h"
#include "sentineld/core/lease_told.h"
#include "tests/fleet/counts.h"
#include "tests/fleet/plan.h"
#include "tests/migration/host.h"
#include "tests/runner/runner.h"
#include "tests/virtual/lines.h"
#include "tests/virtual/net.h"

#include "common/base/idmap.h"

#define SHARD_WRITES_MAX 2048 /* per shard; then its clients stop */
#define SHARD_WRITES_WORDS (SHARD_WRITES_MAX / 64)
#define CLIENTS_PER_SHARD 2
#define DATABASES 4
#define LINEAGE_MAX 16
#define FORMER_MAX 4
#define SUPER_LIST_MAX 160
#define NODE_PORT 7000
#define BUS_PORT 17000

enum conn_kind { CONN_BUS, CONN_NODE, CONN_PEER, CONN_SUB };

/* ---- messages ---- */

struct bus_letter {
    struct letter l; /* first, as in all of them */
    struct cl_bytes *bytes;
};

enum ask_verb { ASK_LEASE, ASK_RETURN, ASK_TAKEOVER };

struct ask { /* of a supervisor to a node */
    struct letter l;
    enum ask_verb verb;
    int super, position;
    int64_t asked_us; /* the supervisor's time, given back */
    uint64_t version, epoch;
    char list[SUPER_LIST_MAX];
    int64_t ttl_ms;
    struct cl_stamp stamp;
    struct cl_id from[LINEAGE_MAX];
    size_t nfrom;
    struct cl_grant grants[SUPERS_MAX];
    size_t ngrants;
};

struct told { /* its answer */
    struct letter l;
    enum ask_verb verb;
    int64_t asked_us;
    uint64_t epoch; /* that was asked at */
    bool ok;
    char error[120];
    struct sn_lease_told told;
};

struct vote_ask { /* of a supervisor to another */
    struct letter l;
    int shard, candidate;
    uint64_t epoch, version;
    runid id;
    bool planned;
};

struct voted {
    struct letter l;
    int shard, voter;
    uint64_t epoch; /* that was asked at */
    bool granted;
    uint64_t vote_epoch; /* its last */
    struct sn_grant grant;
};

/* ---- processes ---- */

struct process {
    int end;
    bool runs;
    unsigned life;
    bool host_down; /* the machine is off: nobody even refuses */
    bool stopped;   /* SIGSTOP */
    struct inbox inbox;
    struct local_clock clock;
    int64_t last_step_us;
    unsigned steps_at_once; /* steps without time moving: one that spins is caught by it */
};

struct node_disk {
    struct buf text; /* what a restart reads; empty: nothing */
    struct durable says;
    struct cl_bytes *writing; /* NULL: nothing is on its way */
    uint64_t seq;
    bool full, crash_next;
    int64_t slow_us;
};

enum repl_state { REPL_NONE, REPL_SYNC, REPL_UP };

/* The data side of a node. */
struct data {
    int master; /* whom it follows; -1: it is a master; -2: an address where nobody is */
    struct cl_id followed;
    enum repl_state repl;
    bool loading;
    uint64_t replid, replid2; /* as in the replication protocol: which history it has, which it had before */
    int64_t second_offset;
    int64_t old_us;                   /* local; the facts' old_since_us while the link is down */
    int64_t heard_us;                 /* world; the last bytes of its master */
    int64_t paused_until_us;          /* local; 0: not paused */
    uint64_t has[SHARD_WRITES_WORDS]; /* writes to the slot that its shard keeps */
    struct dataset set;               /* and to those that are moved about; the mapping of databases */
};

struct asked { /* a command that waits for its answer */
    cl_token token;
    struct conn *conn; /* NULL: an operator's */
    struct ask ask;
    int command;  /* of a core's: an sn_command */
    bool of_core; /* of a supervisor with its shipped core */
    bool copy;
};

struct node {
    struct process p; /* first */
    struct happening tick, written, crash, pull;
    int index, shard;
    char ip[CL_IP_MAX];
    bool gone; /* never starts again */
    struct cl_core *core;
    struct cl_settings set;
    struct node_disk disk;
    struct data data;
    struct cl_id id;                 /* of this life, or of the last one */
    struct cl_id former[FORMER_MAX]; /* that it had before its disk was lost, the newest first; none: no more */
    runid run_id;                    /* of this life */
    struct idmap outs, ins;
    uint64_t last_in;
    struct idmap asked; /* by token */
    cl_token last_token;
    struct cl_id frozen;     /* whose shard supervisors replace: nothing is handed over to it */
    int64_t frozen_until_us; /* local */
    bool wiped;              /* an operator has to take it in again */
    bool was_supervised;
    uint64_t claimed_epoch;       /* the last that check.c looked at */
    struct cl_id owners[WATCHED]; /* of slots that are moved, as it sees them; for the transcript */
    struct cl_id followed;        /* its master, when it had one last; none: since it is a master itself */
    struct cl_id followed_disk;   /* the same as its disk knew it, before what a crash has left there */
};

/* ---- the modelled supervisor ---- */

struct book_row { /* of a shard; durable */
    runid grantee;
    int64_t max_ttl_us;
    bool settled;
    uint64_t epoch;  /* at which the grantee was named */
    uint64_t config; /* the greatest at which a master claimed it */
};

struct super_state { /* what its state directory has */
    bool joined;     /* it has heard the epochs of a majority since the directory was empty */
    uint64_t vote_epoch;
    struct book_row shard[SHARDS_MAX];
};

struct seen { /* a node, as a supervisor sees it */
    struct conn *conn;
    bool up, heard;
    int64_t retry_us, since_us; /* local; since: of its last word on this connection, or of its beginning */
    struct sn_lease_told told;
    int64_t told_us; /* local */
    struct sn_stamp stamp;
};

struct ballot {
    bool on, planned, returning;
    bool rash; /* planned, and nobody asks the old master for its lease: the grants' waits alone keep two apart */
    uint64_t epoch;
    int candidate, former;
    runid id;
    int64_t since_us;
    uint32_t votes; /* by number of the supervisor */
    struct sn_grant grants[SUPERS_MAX];
};

struct book {
    struct sn_lease lease;
    uint64_t epoch;
    runid lineage[LINEAGE_MAX]; /* ids that were master of it, the newest first */
    size_t nlineage;
    int64_t well_us;  /* local: when some master of it was leased last, as far as it saw */
    int64_t odd_us;   /* local: since when a master is leased that is not the grantee; 0: it is not so */
    int64_t again_us; /* local: it does not stand before */
    int failures;
    struct ballot ballot;
};

struct super_wait { /* for the disk */
    uint64_t seq;
    int shard, candidate, asker; /* asker: its own number for its own ballot */
    struct conn *conn;
    runid id;
    uint64_t epoch;
    bool copy;
    struct super_wait *next;
};

struct peer {
    struct conn *conn;
    bool up;
    int64_t retry_us, since_us;
    bool heard; /* in this life */
};

struct super {
    struct process p; /* first */
    struct happening tick, committed, crash;
    int index;
    runid id;
    struct super_state live, writing, disk;
    uint64_t issued, committing, persisted; /* numbers of states: committing 0: the disk rests */
    struct super_wait *waits;
    bool full, crash_next;
    int64_t slow_us;
    uint64_t version;       /* of the list that it speaks for */
    uint64_t file_version;  /* of the list that its file has by now */
    bool sealed;            /* a majority of the list before this one was heard to speak for this one */
    uint64_t epoch;         /* the greatest that it has heard of */
    int64_t quiet_until_us; /* local: so long it neither grants nor votes, since its directory was lost */
    int64_t next_probe_us;
    struct seen nodes[NODES_MAX];
    struct peer peers[SUPERS_MAX];
    struct book books[SHARDS_MAX];
    uint64_t last_link;
    struct watcher *watcher; /* NULL: it is modelled */
};

/* A version of the list of supervisors. */
struct membership {
    int members[SUPERS_MAX];
    int n;
};

#define VERSIONS_MAX 16

struct client {
    struct happening next; /* first */
    int shard, believes;
    int64_t refused_us; /* since when nothing was taken where it asks; 0: the last write was */
};

struct shard {
    int slot; /* that it keeps for ever */
    struct client clients[CLIENTS_PER_SHARD];
    size_t nwrites;
    struct write writes[SHARD_WRITES_MAX];
    int64_t lost_us; /* when acknowledged writes may have been lost last: somebody else was written to, or emptied */
    int writer;      /* who took the last write */
};

/* An operator who releases the whole cluster, or adopts it. */
struct joint {
    struct happening turn;
    bool adopts, dies; /* dies: a supervisor does, once */
    int super;         /* who was asked, */
    uint64_t token;    /* and has not answered; 0: nobody was */
    int64_t until_us;
};

/* Slots that go from shard to shard, by migrations. */
struct moving {
    struct happening client, migrator;
    int believed[WATCHED]; /* who has the slot, to the client */
    bool ended;
    bool once; /* one more is wanted, until it is made */
    int once_slot, once_to;
};

struct checks;
struct faults;
struct votes;
struct swaps;

struct world {
    struct plan plan;
    struct rng rng;
    struct timeline time;
    struct net net;
    struct node nodes[NODES_MAX];
    int nnodes;
    struct super supers[SUPERS_MAX];
    struct shard shards[SHARDS_MAX];
    struct membership versions[VERSIONS_MAX]; /* by version; 0 is none */
    uint64_t version;                         /* the newest */
    struct cl_effects fx;
    struct sn_effects sn_fx;
    struct votes *votes; /* watcher_check.c; NULL: none was given */
    struct happening operator;
    int looks; /* of the operator */
    struct checks *checks;
    struct faults *faults;
    struct swaps *swaps;
    struct joint joint;
    struct moving moving;
    struct migrations migrations;
    bool released;       /* the cluster, by an operator: nodes may be nobody's */
    struct lines *lines; /* NULL: nothing is written down, which is much faster */
    uint64_t hash;
    uint64_t counts[COUNTS];
    bool settled; /* all nodes are supervised: S6 holds from now on */
    bool writing;
    bool given_up;   /* a shard was lost */
    char *violation; /* what broke, NULL while all is well */
    char rule[16];
};

/* world.c */
struct world *world_new(const struct plan *plan, enum recording recording);
void world_free(struct world *w);
bool world_run(struct world *w, int64_t until_us); /* false: a rule broke */
const char *end_name(int end);                     /* in one of a few static buffers */
void mix(struct world *w, uint64_t v);
int64_t lateness(struct world *w);

#define RECORD(w, ...)                   \
    do {                                 \
        if ((w)->lines != NULL)          \
            record_line(w, __VA_ARGS__); \
    } while (0)

/* process.c: what both kinds have, and what the network asks of them */
extern const struct net_world net_calls;
void process_init(struct world *w, struct process *p, int end);
struct process *process_of(struct world *w, int end);
int64_t process_clock(const struct world *w, const struct process *p);
bool process_works(const struct process *p); /* runs, and is not stopped */
void process_stop(struct world *w, struct process *p);
void process_continue(struct world *w, struct process *p);
void process_drift(struct world *w, struct process *p, int64_t rate_ppm);
bool process_spins(struct world *w, struct process *p); /* said at each step; true: it was said */
void letter_init(struct letter *l, bool may_double, void (*free_it)(struct letter *));
void letter_free_plain(struct letter *l);
int end_of_node(int i);
bool end_is_super(int end);

/* node.c */
void node_init(struct world *w, int i);
void node_start(struct world *w, struct node *n);
void node_crash(struct world *w, struct node *n, bool host);
void node_wipe(struct world *w, struct node *n); /* its disk is lost; it is not running */
void node_timer(struct world *w, struct node *n);
void node_command(struct world *w, struct node *n, struct cl_command *c); /* an operator's, who does not wait */
struct node *node_of_id(struct world *w, const struct cl_id *id);         /* who has it now; NULL: nobody */
struct node *node_at(struct world *w, const char *ip);
bool node_may_write(const struct world *w, const struct node *n, int shard); /* a write would be executed now */
bool node_may_write_slot(const struct world *w, const struct node *n, int slot);
void node_accepted(struct world *w, struct conn *c);
void node_link(struct world *w, struct node *n, struct conn *c, bool client, enum cl_event_kind kind);
void node_bus(struct world *w, struct node *n, struct conn *c, bool client, const struct bus_letter *l);

/* ask.c: what supervisors ask of nodes */
void ask_arrived(struct world *w, struct node *n, struct conn *c, const struct ask *a, bool copy);
void ask_told(const struct world *w, const struct node *n, struct sn_lease_told *t); /* the answer to LEASE */
void ask_answered(struct world *w, struct node *n, const struct cl_effect *e);
void ask_conn_closed(struct node *n, const struct conn *c);
void ask_forget(struct node *n);

/* node_disk.c */
void node_disk_persist(struct world *w, struct node *n, struct cl_effect *e); /* takes its bytes */
void node_disk_crash(struct world *w, struct node *n);

/* data.c */
struct cl_facts data_facts(const struct world *w, const struct node *n);
void data_follow(struct world *w, struct node *n, const char *ip, const struct cl_id *id);
void data_promote(struct world *w, struct node *n);
void data_empty(struct world *w, struct node *n);
void data_drop(struct world *w, struct node *n, const uint8_t *slots);
void data_started(struct world *w, struct node *n);
void data_crashed(struct world *w, struct node *n);

/* model.c: a supervisor that leases and votes, and nothing else */
void super_init(struct world *w, int i);
void super_start(struct world *w, struct super *s);
void super_crash(struct world *w, struct super *s, bool host);
void super_wipe(struct world *w, struct super *s);
void super_timer(struct world *w, struct super *s);
void super_tick(struct world *w, struct super *s);
int super_position(const struct world *w, const struct super *s);  /* in the list that it speaks for; -1: not in it */
bool super_declared(const struct world *w, const struct super *s); /* it is in the newest list */
bool takes_part(const struct world *w, const struct super *s);     /* it votes, and under leases its list is counted */
bool super_majority(const struct world *w, const struct super *s, uint32_t who); /* of all lists that must agree */
int64_t super_ttl_us(const struct world *w);

/* As a configuration file has it. */
void super_list(const struct membership *m, char out[SUPER_LIST_MAX]);

/* model_link.c: its connections, and what comes over them */
void super_up(struct world *w, struct super *s, struct conn *c);
void super_down(struct world *w, struct super *s, struct conn *c);
void super_told(struct world *w, struct super *s, const struct conn *c, const struct told *t);
void super_connects(struct world *w, struct super *s);
void super_probes(struct world *w, struct super *s);
void super_asks(struct world *w, struct super *s, int node, struct ask *a); /* takes it */
struct ask *super_ask_new(const struct world *w, const struct super *s, enum ask_verb verb, uint64_t epoch);

/* model_vote.c */
void super_vote_asked(struct world *w, struct super *s, struct conn *c, const struct vote_ask *v, bool copy);
void super_voted(struct world *w, struct super *s, const struct voted *v);
void super_stands(struct world *w, struct super *s); /* where it has to */
void super_asks_peers(struct world *w, struct super *s, const struct vote_ask *v);
bool super_switch(struct world *w, struct super *s, int shard); /* as an operator asks; false: not now */
void super_returned(struct world *w, struct super *s, int node, const struct told *t);
void super_waited(struct world *w, struct super *s, const struct super_wait *x); /* it is on the disk */

/* model_disk.c */
uint64_t super_persist(struct world *w, struct super *s); /* the number of what is to be on the disk */
void super_wait(struct world *w, struct super *s, const struct super_wait *x); /* copied */
void super_disk_crash(struct world *w, struct super *s);

/* client.c */
void client_start(struct world *w);
void client_woken(struct world *w, struct node *n);              /* what waited in the socket of a stopped node */
bool client_has(const struct world *w, int shard, size_t write); /* its master has it */
size_t client_lost(const struct world *w, int shard);

/* operator.c */
void operator_form(struct world *w);
void operator_attach(struct world *w);
void operator_start(struct world *w);
void operator_change_members(struct world *w);

/* moving.c: slots that go from shard to shard */
void moving_init(struct world *w);
void moving_free(struct world *w);
void moving_begin(struct world *w);
void moving_heal(struct world *w);                 /* no migration begins any more, */
void moving_once(struct world *w);                 /* but for this one */
void moving_join(struct world *w, struct node *n); /* its shard, where it is a master beside another, or left it */
void moving_before(struct node *n);                /* a step of it */
void moving_started(struct world *w, struct node *n);
void moving_record(struct world *w, struct node *n); /* after each step */
void moving_persisted(struct world *w, struct node *n);
void moving_promoted(struct world *w, struct node *n);
void moving_forced(struct world *w, struct node *n, const struct cl_event *e);          /* if that is what it was */
void moving_frozen(struct world *w, struct node *n, const struct cl_command *c);        /* by supervisors; it said OK */
void moving_hands_over(struct world *w, const struct node *n, const struct cl_id *job); /* pauses, or grants */
const char *moving_unfinished(struct world *w); /* NULL: all slots have one owner on which all agree */
void moving_account(struct world *w);           /* for what was acknowledged */
bool moves_slots(const struct world *w);

/* check.c: what must hold at every moment */
void check_init(struct world *w);
void check_started(struct world *w, const struct node *n);
void check_free(struct world *w);
void check_writers(struct world *w, struct node *n); /* S6 */
void check_step(struct world *w, struct node *n);
void check_given(struct world *w, const struct node *n, uint64_t epoch);                 /* by supervisors, to a node */
void check_vote(struct world *w, const struct super *s, uint64_t epoch, const char *id); /* told: E1 */
void check_wiped(struct world *w, const struct super *s);
void check_votes_free(struct world *w);

/* swap.c: swaps of databases, W1 to W5 */
void swap_init(struct world *w);
void swap_free(struct world *w);
void swap_begin(struct world *w);
void swap_heal(struct world *w); /* nobody wants one any more, */
void swap_once(struct world *w); /* but for this one, where there are any */
void swap_check(struct world *w, const struct node *n);
void swap_effect(struct world *w, struct node *n, const struct cl_effect *e);
void swap_super_answers(struct world *w, const struct super *s, const struct sn_effect *e);
void swap_node_answers(struct world *w, const struct node *n, const struct cl_effect *e);
bool swap_waits(const struct node *n, int database);           /* requests to it wait */
bool swap_untold(const struct world *w, const struct node *n); /* it lacks swaps that no supervisor can tell it */
const char *swap_unfinished(struct world *w); /* NULL: all have the same mapping, and none is under way */
bool swap_read(enum sn_command command, char *const *argv, struct cl_command *to);

/* joint.c: the whole cluster is given up, and taken on again */
void joint_release(struct world *w);
void joint_adopt(struct world *w);
const char *not_released(struct world *w);

/* agree.c: rule S7. NULL when all agree, otherwise what is missing (in static memory). */
const char *not_acquainted(struct world *w);
const char *not_agreed(struct world *w);
const char *not_supervised(struct world *w);
bool counts_newest(const struct world *w, const struct node *n); /* of the lists of supervisors */
bool shard_is_lost(struct world *w, int shard);

/* picture.c: how all stand, into the transcript */
void picture(struct world *w);

/* fault.c */
void fault_init(struct world *w);
void fault_free(struct world *w);
void fault_begin(struct world *w);
void fault_heal(struct world *w);
void fault_between_lists(struct world *w); /* one more supervisor has the newest list: a partition may come now */
struct node *some_master(struct world *w, int shard); /* of the shard, or of any (-1), that works; NULL: none */

#endif
