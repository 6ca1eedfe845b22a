/* The simulated world of the cluster's bus: nodes (the shipped core), the streams between them, their disks, clocks and
 * data, on one heap of happenings in virtual microseconds. Everything follows from the plan and its seed; nothing here
 * reads a clock or a random source. */
#ifndef BUS_WORLD_H
#define BUS_WORLD_H

#include "common/base/idmap.h"
#include "common/base/map.h"
#include "noded/cluster/state.h"
#include "tests/bus/counts.h"
#include "tests/bus/plan.h"
#include "tests/migration/host.h"
#include "tests/runner/runner.h"
#include "tests/virtual/time.h"

#define ACKS_KEPT 512
#define DATABASES 4
#define ASKED_MAX 64 /* commands of one node that wait for their answer */

enum way { THERE, BACK }; /* from client to server, from server to client */

/* One TCP connection. It is kept until the world ends, so that late bytes find it. */
struct conn {
    cl_link ours, theirs; /* its names at the client's core and at the server's */
    int client, server;   /* nodes; server is the client where nobody has that address */
    bool client_open;     /* as its client sees it: from CONNECT to DISCONNECT or LINK_DOWN */
    bool connected;       /* LINK_UP was told */
    bool server_open;     /* as its server sees it */
    bool unanswered;      /* something was sent to a machine that was off, and is sent again when it is back */
    bool hung;            /* nothing arrives any more, and nobody is told */
    int64_t ready_us[2];  /* nothing of that way arrives earlier than this: TCP keeps the order */
    struct packet *held[2], **held_last[2]; /* sent into a cut network: sent again when it heals */
};

enum packet_kind {
    PACKET_SYN,
    PACKET_ACCEPT, /* the SYN, once the kernel has answered it, on its way to the process */
    PACKET_SYN_ACK,
    PACKET_MESSAGE,
    PACKET_FIN,    /* the other end closed, or never listened */
    PACKET_TIMEOUT /* the client's own patience with a SYN */
};

struct packet {
    struct happening h; /* first */
    struct conn *conn;
    enum way way;
    enum packet_kind kind;
    uint64_t number; /* in the order sent between these two nodes */
    struct cl_bytes *bytes;
    struct packet *next;
};

struct disk {
    struct buf text; /* what a restart reads; empty: nothing */
    struct durable says;
    struct cl_bytes *writing; /* NULL: nothing is on its way */
    uint64_t seq;
    bool full;
    bool crash_next; /* its process dies while the next text is on its way */
    int64_t slow_us; /* extra time per text */
};

enum repl_state { REPL_NONE, REPL_SYNC, REPL_UP };

/* The data side of a node. */
struct data {
    int master;           /* whom it follows; -1: it is a master; -2: an address where nobody is */
    struct cl_id follows; /* the same, by its id: it may have gone to another address, or be another node there */
    enum repl_state repl;
    bool loading;
    bool broken;              /* it gets no stream, whatever the bus gets through */
    uint64_t replid, replid2; /* as in the replication protocol: which history it has, which it had before */
    int64_t second_offset;
    int64_t old_us;          /* local; the facts' old_since_us while the link is down */
    int64_t heard_us;        /* world; the last bytes of its master */
    int64_t paused_until_us; /* local; 0: not paused */
    struct dataset set;
    struct dataset flushed; /* what a crash leaves, where that is less */
};

struct asked { /* a command that waits for its answer */
    cl_token token;
    enum cl_verb verb;
    int64_t number;
    int database_a, database_b;
    bool answered, ok, passed_over; /* it refuses, as others were masters after it */
    int64_t at_us;
};

struct belief { /* who owns a slot, as a node sees it */
    struct cl_id owner;
    uint64_t epoch;
    bool unclaimed; /* by its owner: whoever claims it may have it */
};

struct node {
    struct happening tick, crash, written, pull, ping, flush;
    int index;
    char ip[CL_IP_MAX];
    int moves;            /* how often its address has changed */
    struct cl_core *core; /* NULL: not running */
    unsigned life;
    bool host_down; /* the machine is off: nobody even refuses */
    bool stopped;   /* SIGSTOP */
    bool gone;      /* never starts again */
    struct inbox inbox;
    struct local_clock clock;
    struct idmap outs, ins; /* its open connections by their names */
    uint64_t last_in, last_out;
    struct cl_settings set;
    struct disk disk;
    struct data data;
    struct cl_id id; /* of this life, or of the last one */
    struct asked asked[ASKED_MAX];
    cl_token last_token;
    int64_t last_step_us;
    unsigned steps_at_once; /* steps without time moving: a core that spins is caught by it */
    /* what check.c keeps of it */
    uint64_t version;
    struct belief believes[WATCHED];
    bool failed[MAX_NODES * 2]; /* by number of the id: it holds that node for failed */
    struct cl_id followed;      /* its master, when it had one last; none: since it is a master itself */
    struct cl_id followed_disk; /* the same as its disk knew it, before what a crash has left there */
    bool told_role;             /* by an operator: TAKEOVER or RESET */
    bool named;                 /* by supervisors: TAKEOVER EPOCH */
    int64_t forced_us;          /* world; an election until then may be due to FAILOVER FORCE, and until then others
                                   may not have heard that an operator has given their slots to it */
    bool was_ok, was_reset;
    int64_t minority_us; /* local; when it last saw a minority of masters only */
    int64_t excused_us;  /* world; until then it may not know that it is alone */
    struct {
        uint64_t epoch;
        int by;
    } acks[ACKS_KEPT]; /* votes that it has heard, the newest ones */
    size_t nacks;
    int needed;                    /* votes */
    uint64_t overtaken[MAX_NODES]; /* epoch of a node's last request for a vote, if what it claims has newer owners */
    /* traffic */
    uint64_t connects, pings, bytes_sent;
};

struct slot_move {         /* of an operator, who waits for each answer */
    struct happening next; /* first */
    bool active;
    int watched, from, to, step, last;
    cl_token token;
    unsigned life;
    int64_t until_us;
};

#define MOVES_MAX 8

struct checks; /* check.c */
struct swaps;  /* swap.c */
struct leases; /* lease.c */
struct faults; /* fault.c */
struct record; /* transcript.c */

struct world {
    struct plan plan;
    struct rng rng;
    struct timeline time;
    struct node *nodes;
    struct happening client;
    bool writing;
    struct migrations migrations;
    int believed[WATCHED]; /* where the client writes */
    struct slot_move moves[MOVES_MAX];
    struct happening migrator; /* operators who migrate slots */
    struct swaps *swaps;
    struct leases *leases;
    struct cl_effects fx;
    struct conn **conns;
    size_t nconns, cap_conns;
    struct packet **packets, *spare; /* all that were ever made, and those not in use */
    size_t npackets, cap_packets;
    uint8_t (*cut)[MAX_NODES]; /* how many partitions keep a from b */
    uint64_t (*sent)[MAX_NODES], (*delivered)[MAX_NODES];
    struct {
        int64_t extra_us; /* more delay, drawn up to this */
        uint32_t loss_ppm;
    } weather;
    struct checks *checks;
    struct faults *faults;
    struct record *record; /* NULL: nothing is written down, which is much faster */
    uint64_t hash;         /* of all effects so far */
    uint64_t counts[COUNTS];
    char *violation; /* what broke, NULL while all is well */
    char rule[16];
    /* The scenarios' eye. */
    void (*promoted)(struct world *w, struct node *n);
    void *watcher;
};

/* world.c */
struct world *world_new(const struct plan *plan, enum recording recording);
void world_free(struct world *w);
/* Runs until that time, or until a rule breaks. Returns false when one broke. */
bool world_run(struct world *w, int64_t until_us);

/* net.c */
void net_connect(struct world *w, struct node *n, const struct cl_effect *e);
void net_disconnect(struct world *w, struct node *n, cl_link link);
void net_message(struct world *w, struct node *n, struct cl_effect *e); /* takes its bytes */
void net_cut(struct world *w, int from, int to);
void net_mend(struct world *w, int from, int to);
bool net_open(const struct world *w, int a, int b); /* both ways */
void net_died(struct world *w, struct node *n, bool host);
void net_back(struct world *w, const struct node *n); /* its machine is on again: old connections are refused */
void net_hang(struct world *w, struct conn *l);
void net_reset(struct world *w, struct conn *l); /* both ends learn that it is gone */
struct conn *net_some_conn(struct world *w);     /* an open one, drawn; NULL */
void net_end(struct world *w);

/* node.c */
void node_init(struct world *w, int i);
void node_start(struct world *w, struct node *n);
void node_crash(struct world *w, struct node *n, bool host);
void node_stop(struct world *w, struct node *n);
void node_continue(struct world *w, struct node *n);
void node_jump(struct world *w, struct node *n, int64_t by_us);
void node_drift(struct world *w, struct node *n, int64_t rate_ppm);
void node_wipe(struct world *w, struct node *n); /* its disk is lost; it is not running */
void node_move(struct world *w, struct node *n); /* it has another address when it starts again */
int64_t node_clock(const struct world *w, const struct node *n);
void node_settings(struct world *w, struct node *n); /* n->set has changed */
/* As a client asks. NULL: it does not run, or too many of its commands wait. */
struct asked *node_ask(struct world *w, struct node *n, struct cl_command *c);
void node_excuse(struct world *w, struct node *n); /* it has not run as it should: it may not know that it is alone */

/* disk.c */
void disk_persist(struct world *w, struct node *n, struct cl_effect *e); /* takes its bytes */
void disk_crash(struct world *w, struct node *n);
void disk_wipe(struct node *n);
void disk_supervise(struct world *w, struct node *n); /* the first text of a node that has supervisors */

/* data.c */
struct cl_facts data_facts(const struct world *w, const struct node *n);
void data_follow(struct world *w, struct node *n, const struct cl_id *id, const char *ip, uint16_t port);
void data_promote(struct world *w, struct node *n);
void data_empty(struct world *w, struct node *n);
void data_drop(struct world *w, struct node *n, const uint8_t *slots);
void data_started(struct world *w, struct node *n);
void data_crashed(struct world *w, struct node *n);
bool data_slots(const struct world *w, const struct node *n, uint8_t *slots); /* false: it holds no key */
void data_move_slot(struct world *w, struct node *from, struct node *to, int watched);

/* swap.c: swaps of databases, by a coordinator as supervisors are one; rules H4 and W */
void swap_init(struct world *w);
void swap_begin(struct world *w);
void swap_promised(struct world *w, struct node *n, const struct asked *a); /* it says yes */
void swap_free(struct world *w);
void swap_heal(struct world *w); /* what was begun is ended, and nothing begins */
void swap_look(struct world *w, struct node *n);
void swap_effect(struct world *w, struct node *n, const struct cl_effect *e);
void swap_written(struct world *w, struct node *n, int database);
void swap_commanded(struct world *w, struct node *n, const struct cl_command *c);
void swap_succeeds(struct world *w, struct node *n, const struct cl_id *master, bool elected);
void swap_rolled_back(struct world *w, struct node *n);
void swap_wiped(struct world *w, struct node *n);
const char *swap_unfinished(struct world *w); /* NULL: nothing is */

/* lease.c: supervisors that grant leases, and who is promoted by their word; rule S6 */
void lease_init(struct world *w);
void lease_free(struct world *w);
void lease_adopt(struct world *w); /* they begin to speak to nodes that nobody supervises yet, */
void lease_begin(struct world *w); /* and to decide, with faults of their own */
void lease_heal(struct world *w);
bool lease_rules(const struct world *w);                          /* they decide who is promoted */
int64_t lease_clock(const struct world *w, const struct node *n); /* the boot clock of a node */
bool lease_allows(const struct world *w, const struct node *n);   /* a write, now */
void lease_look(struct world *w, const struct node *n);           /* after each step */
/* A master that others came after, and that is the only one left, is promoted by an operator's word alone: he says it
 * of that one. NULL: there is none. */
struct node *lease_force(struct world *w);
const char *lease_missing(struct world *w); /* NULL: all that should be leased is */

/* client.c */
void client_start(struct world *w);
bool client_has(const struct world *w, size_t write);                         /* an owner of its slot has it */
size_t client_lost(const struct world *w, int64_t from_us, int64_t until_us); /* acknowledged writes that are gone */

/* operator.c: what people do to a cluster. node_ask() with less to write. */
struct asked *operator_meet(struct world *w, struct node *n, const struct node *other);
struct asked *operator_on_node(struct world *w, struct node *n, enum cl_verb verb, const struct cl_id *id);
struct asked *operator_plain(struct world *w, struct node *n, enum cl_verb verb);
struct asked *operator_failover(struct world *w, struct node *n, bool force, bool takeover);
struct asked *operator_slots(struct world *w, struct node *n, enum cl_verb verb, const uint8_t *slots);
/* Moves a slot as redis-cli does; stops in the midst after `steps` commands when that is less than all. */
void operator_move_slot(struct world *w, int watched, struct node *from, struct node *to, int steps);
struct asked *operator_migrate(struct world *w, struct node *n, const struct node *to, const uint8_t *slots);
void operator_migrate_some(struct world *w); /* drawn: slots, and where they go */
void operator_form(struct world *w);         /* MEETs all and gives slots to the masters */
void operator_attach(struct world *w);       /* REPLICATE for those that are to be replicas */
bool operator_repairs(struct world *w);      /* what no protocol puts right by itself; false: there was nothing */

/* check.c: what must hold at every moment */
void check_init(struct world *w);
void check_free(struct world *w);
void check_started(struct world *w, struct node *n);
void check_heard(struct world *w, struct node *n, const struct conn *l, struct slice message); /* before its step */
void check_effect(struct world *w, struct node *n, const struct cl_event *e, const struct cl_effect *fx);
void check_before(struct world *w, struct node *n);
/* Before the effects: the data side answers some of them at once, and that is another step of the same node. */
void check_beliefs(struct world *w, struct node *n, const struct cl_event *e);
void check_step(struct world *w, struct node *n);
void check_write(struct world *w, struct node *n);
struct node *node_of_id(struct world *w, const struct cl_id *id); /* who has it now; NULL: nobody */

/* agree.c: rule B4. NULL when all agree, otherwise what is missing (in static memory). */
const char *not_agreed(struct world *w);
const char *not_acquainted(struct world *w); /* all know all, and nothing more is asked */

/* fault.c */
void fault_init(struct world *w);
void fault_free(struct world *w);
void fault_begin(struct world *w);
void fault_heal(struct world *w);
struct node *some_node(struct world *w, bool master); /* one that runs; NULL: none */

/* transcript.c */
struct record *record_new(bool at_once);
void record_free(struct record *r);
void record_event(struct world *w, const struct node *n, const struct cl_event *e);
void record_effect(struct world *w, const struct node *n, const struct cl_effect *e);
void record_print(const struct record *r); /* the last lines, unless they were printed at once */
void record_picture(struct world *w);      /* every node as it stands now; picture.c */

#define RECORD(w, ...)                   \
    do {                                 \
        if ((w)->record != NULL)         \
            record_line(w, __VA_ARGS__); \
    } while (0)

#endif
