/* The simulated world: supervisors (the shipped core), servers, their network, disks and clocks, on one heap of
 * happenings in virtual microseconds. Everything follows from the plan and its seed; nothing here reads a clock or a
 * random source. */
#ifndef SIM_WORLD_H
#define SIM_WORLD_H

#include "common/base/heap.h"
#include "common/base/rng.h"
#include "sentineld/core/state.h"
#include "tests/sim/counts.h"
#include "tests/sim/plan.h"
#include "tests/runner/runner.h"

#define MS(ms) ((int64_t)(ms)*1000)
#define SECONDS(s) ((int64_t)(s)*1000000)

#define MAX_NODES (MAX_GROUPS * MAX_NODES_PER_GROUP)
#define MAX_ENDS (MAX_SUPERS + MAX_NODES) /* an end of the network: supervisors first, then nodes */
#define WRITES_MAX 8192                   /* per group; then its client stops */
#define WRITES_WORDS (WRITES_MAX / 64)

struct world;

/* Something that will happen. It is the first member of what it belongs to. */
struct happening {
    struct heap_node at; /* first */
    void (*fire)(struct world *w, struct happening *h);
    struct happening *next; /* in the inbox of a stopped process */
};

struct inbox {
    struct happening *first, **last;
};

/* A process's monotonic clock: runs too fast or too slow by a rate, and may leap forward. */
struct local_clock {
    int64_t local_us, world_us; /* both at the last change of rate */
    int64_t rate_ppm;
};

/* One TCP connection. It is kept until the world ends, so that late bytes find it. */
struct link {
    sn_link id;           /* the client core's name for it */
    int client;           /* supervisor */
    unsigned client_life; /* which life of the client's process opened it */
    int server;           /* end: a node, or a supervisor */
    unsigned server_life;
    bool subscribe;
    bool client_open;                       /* as its client sees it: from CONNECT to DISCONNECT or LINK_DOWN */
    bool connected;                         /* LINK_UP was told */
    bool server_open;                       /* as its server sees it */
    int64_t ready_us[2];                    /* no packet of that way arrives earlier than this: TCP keeps the order */
    struct packet *held[2], **held_last[2]; /* sent into a cut network: sent again when it heals */
    struct packet *stuck, **stuck_last;     /* at a server that has paused this client */
    unsigned packets;
};

enum way { THERE, BACK }; /* from client to server, from server to client */

enum packet_kind {
    PACKET_SYN,
    PACKET_SYN_ACK,
    PACKET_REQUEST,
    PACKET_REPLY,
    PACKET_PUSH,    /* a message of the subscription */
    PACKET_FIN,     /* THERE: the client closed; BACK: the server closed, or never listened */
    PACKET_TIMEOUT, /* the client's own patience with a SYN */
};

struct packet {
    struct happening h; /* first */
    struct link *link;
    enum way way;
    enum packet_kind kind;
    bool copy;           /* doubled on the way: its answer goes nowhere */
    uint64_t number;     /* in the order sent between these two ends */
    uint64_t said;       /* its place among all that is said; of an answer about a master: where that was looked at */
    struct sn_effect fx; /* REQUEST: what was sent. REPLY: command, text, epoch, opinions */
    enum sn_pong pong;
    bool ok;
    enum sn_down_why why;
    struct sn_info *info;
    struct packet *next;
};

struct asked { /* a question between supervisors that waits for the core's answer */
    sn_token token;
    struct link *link;
    enum sn_command command;
    bool copy;
    uint64_t came;       /* its place among all that is said */
    struct sn_effect fx; /* the question, for the master that a stock answer does not name */
    struct asked *next;
};

/* What operators change of a group's settings, in the unit of the option. */
struct group_options {
    int64_t quorum, down_after_ms, failover_timeout_ms, parallel_syncs;
};

/* What is on a supervisor's disk, and what is on its way there. */
struct disk_group {
    bool known;
    bool removed;                     /* by an operator */
    bool replaced;                    /* the next row begins it anew: an operator has asked for that */
    struct group_options is;          /* those in force: in its file, or changed at run time */
    int64_t quorum_before, quorum_us; /* the quorum before it was changed last, and when that was */
    struct addr master;
    uint64_t config_epoch, vote_epoch;
    runid vote_leader;
    struct addr replicas[MAX_NODES];
    size_t nreplicas;
    struct sn_record_peer peers[MAX_SUPERS * 2];
    size_t npeers;
};

struct transaction {
    uint64_t seq;
    struct sn_record *records;
    size_t n;
    struct transaction *next;
};

struct disk {
    struct happening done; /* first: the end of the commit that runs */
    int super;
    uint64_t epoch;
    bool joined;
    struct disk_group groups[MAX_GROUPS];
    struct transaction *queue, **queue_last; /* issued, in order */
    size_t committing;                       /* how many of the queue the running commit takes */
    bool full;
    bool crash_next;  /* its process dies during the next commit, */
    bool crash_voted; /* or just after it has told a vote for another */
    struct happening crash;
    int64_t slow_us; /* extra time per commit */
};

struct ballot_notes { /* of the last ballot of a supervisor for a group; NULL: not there */
    struct sn_note *stand, *outcome, *promoted;
};

/* consent.c */
enum consent { CONSENT_NOT_ASKED, CONSENT_YES, CONSENT_NO, CONSENT_SILENT };

struct question {            /* of a supervisor to its hook, the last one about a group */
    struct happening answer; /* first */
    int super, group;
    uint64_t epoch;
    enum consent will, verdict; /* verdict NOT_ASKED: not yet given */
};

#define FORMER_MAX 32

struct forgotten { /* the last vote of a state directory that was lost */
    uint64_t epoch;
    runid leader;
};

struct super {
    struct happening tick; /* first */
    struct disk disk;
    struct happening again; /* a late candidate asks for a vote that was given in a former life */
    int index;
    struct addr addr;
    runid id;
    struct sn_core *core; /* NULL: not running */
    unsigned life;
    bool host_down; /* the machine is off: nobody even refuses */
    bool stopped;   /* SIGSTOP */
    struct inbox inbox;
    struct local_clock clock;
    bool as_stock;       /* answers like a stock sentinel, so its peers speak the stock form to it */
    struct link **links; /* by sn_link, of this life */
    size_t nlinks, cap_links;
    struct asked *asked;
    sn_token last_token;
    int64_t last_step_us;
    struct ballot_notes ballots[MAX_GROUPS];
    struct {
        enum consent policy;
        int64_t after_us, since_us; /* after the question; when it became the policy */
        struct question questions[MAX_GROUPS];
    } consent;
    bool wipe_next; /* its state directory is lost with its next crash */
    struct forgotten forgotten[MAX_GROUPS];
    runid former[FORMER_MAX]; /* ids that it had */
    size_t nformer;
    unsigned steps_at_once; /* steps without time moving: a core that spins is caught by it */
};

enum repl_state { REPL_NONE, REPL_SYNC, REPL_UP };

struct node {
    struct happening cron; /* first */
    struct happening sync; /* end of the synchronisation that runs */
    struct happening unpause;
    struct happening failover;
    int index, group;
    struct addr addr;
    runid run_id;
    bool up, host_down, stopped;
    unsigned life;
    struct inbox inbox;
    struct link **subs;
    size_t nsubs, cap_subs;
    /* how it was set up */
    bool persistent;       /* keeps its data over a restart */
    bool keeps_id;         /* and its replication id */
    bool rewrites;         /* keeps its role over a restart */
    bool has_failover;     /* knows FAILOVER */
    bool no_stale;         /* answers MASTERDOWN without its master */
    int configured_master; /* what its configuration file says; -1 master */
    int64_t priority;
    /* what it is */
    int64_t loading_until_us, busy_until_us;
    int master; /* index of the node it follows, -1: it is a master */
    runid replid, replid2;
    int64_t offset, second_offset;
    int64_t offset_us;           /* when the offset last changed */
    uint64_t data[WRITES_WORDS]; /* which writes of its group it holds */
    int64_t keys;
    /* replication from its master */
    enum repl_state repl;
    unsigned repl_link; /* number of the connection: stream bytes of an old one are void */
    unsigned repl_master_life;
    bool repl_broken; /* bytes were lost on the way */
    int64_t repl_down_us, repl_cut_us, stream_us;
    /* pause and FAILOVER of a master */
    int64_t pause_until_us;
    bool pause_all;
    int failover_to; /* -1: none runs */
    int64_t failover_end_us;
};

struct write {
    int64_t at_us;
    int node;
};

struct group {
    struct sn_settings set;
    char name[16];
    int first, count; /* its nodes */
    struct happening client;
    struct addr believed;
    bool writing;
    size_t nwrites; /* all of them acknowledged */
    struct write writes[WRITES_MAX];
    int64_t last_kill_us;
};

struct operation { /* what an operator asked a supervisor */
    sn_token token;
    int super, group;
    unsigned life;
    bool failover, coordinated;
    int done, refused; /* what to count then, -1: nothing */
    bool answered;
    enum sn_answer answer;
    char text[120];
};

#define OPERATIONS_MAX 512

struct checks; /* check.c */
struct faults; /* fault.c */
struct record; /* transcript.c */

struct world {
    struct plan plan;
    struct rng rng;
    int64_t now_us;
    struct heap heap;
    struct super supers[MAX_SUPERS];
    struct node nodes[MAX_NODES];
    struct group groups[MAX_GROUPS];
    int nnodes;
    struct sn_effects fx;
    struct link **links;
    size_t nlinks, cap_links;
    struct packet **packets, *spare; /* all that were ever made, and those not in use */
    size_t npackets, cap_packets;
    uint64_t said;                   /* how much was said so far: two things of one microsecond have an order too */
    struct piece *pieces;            /* of replication streams, not in use */
    uint8_t cut[MAX_ENDS][MAX_ENDS]; /* how many partitions keep a from b */
    uint64_t sent[MAX_ENDS][MAX_ENDS], delivered[MAX_ENDS][MAX_ENDS];
    struct {
        int64_t extra_us; /* more delay, drawn up to this */
        uint32_t loss_ppm, copy_ppm;
    } weather;
    struct operation operations[OPERATIONS_MAX];
    size_t noperations;
    unsigned last_repl_link;
    struct checks *checks;
    struct faults *faults;
    struct record *record; /* NULL: nothing is written down, which is much faster */
    uint64_t hash;         /* of all effects so far */
    uint64_t happenings;
    uint64_t counts[COUNTS];
    bool settled;    /* every supervisor knows every other: faults may begin */
    bool calm;       /* nothing has been disturbed yet */
    bool forgets;    /* some supervisor was made to forget what it knew of the servers */
    char *violation; /* what broke, NULL while all is well */
    char rule[16];
    /* The scenarios' eye on what is published. */
    void (*published)(struct world *w, struct super *s, const struct sn_effect *e);
    void *watcher;
};

/* world.c */
struct world *world_new(const struct plan *plan, enum recording recording);
void world_free(struct world *w);
void happen(struct world *w, struct happening *h, int64_t at_us, void (*fire)(struct world *, struct happening *));
void happen_not(struct world *w, struct happening *h);
/* Runs until that time, or until a rule breaks. Returns false when one broke. */
bool world_run(struct world *w, int64_t until_us);
void inbox_put(struct inbox *b, struct happening *h);
void inbox_deliver(struct world *w, struct inbox *b); /* fires all that has gathered */
void violated(struct world *w, const char *rule, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* net.c */
int end_of_super(int i);
int end_of_node(int i);
bool end_is_super(int end);
void net_connect(struct world *w, struct super *s, const struct sn_effect *e);
void net_disconnect(struct world *w, struct super *s, sn_link id);
void net_request(struct world *w, struct super *s, struct sn_effect *e); /* takes what e owns */
struct packet *net_packet(struct world *w, struct link *l, enum way way, enum packet_kind kind);
struct packet *net_answer(struct world *w, struct packet *question); /* NULL when it would reach nobody */
void net_send(struct world *w, struct packet *p);
void net_free(struct world *w, struct packet *p);
void net_end(struct world *w);
void net_server_lost(struct world *w, struct link *l); /* its server knows this connection no more */
void net_cut(struct world *w, int from, int to);
void net_mend(struct world *w, int from, int to);
bool net_open(const struct world *w, int a, int b); /* both ways */
int64_t net_delay(struct world *w);
void net_died(struct world *w, int end,
              bool host); /* a process died: its peers are told, unless its machine died with it */
void net_kill_clients(struct world *w, int node, const struct link *but);
void net_unstick(struct world *w, int node); /* the pause is over: what waited is looked at again */

/* super.c */
void super_init(struct world *w, int i);
void super_start(struct world *w, struct super *s);
void super_crash(struct world *w, struct super *s, bool host);
void super_stop(struct world *w, struct super *s);
void super_continue(struct world *w, struct super *s);
void super_jump(struct world *w, struct super *s, int64_t by_us);
void super_drift(struct world *w, struct super *s, int64_t rate_ppm);
int64_t super_clock(const struct world *w, const struct super *s);
void super_step(struct world *w, struct super *s, struct sn_event *e);
void super_wipe(struct world *w, struct super *s); /* its state directory is lost; it is not running */
struct super *super_running(struct world *w);      /* one of those that run, drawn; NULL: none does */
/* Asks for something as an operator does; NULL when it does not run. */
struct operation *super_operate(struct world *w, struct super *s, struct sn_event *e, int group);
struct operation *super_operate_counted(struct world *w, struct super *s, struct sn_event *e, int group, int done,
                                        int refused);
struct operation *super_failover(struct world *w, struct super *s, int group, bool coordinated);

/* inbound.c: what reaches a supervisor */
void super_received(struct world *w, struct packet *p); /* as the client of a link */
void super_asked(struct world *w, struct packet *p);    /* as a server */
void super_answers(struct world *w, struct super *s, struct sn_effect *e);
void super_forget_questions(struct super *s);
void super_asked_again(struct world *w, struct super *s); /* soon after a restart: see inbound.c */

/* disk.c */
void disk_persist(struct world *w, struct super *s, struct sn_effect *e);
void disk_crash(struct world *w, struct super *s);
void disk_crash_soon(struct world *w, struct super *s, int64_t at_us);
void disk_wipe(struct world *w, struct super *s);
void disk_free(struct disk *d);

/* replays.c */
void replays_noted(struct world *w, struct super *s, struct sn_effect *e); /* takes the note or leaves it */
void replays_forget(struct super *s);
/* consent.c: hooks that may veto */
void consent_policy(struct world *w, struct super *s, enum consent policy, int64_t after_us);
void consent_asked(struct world *w, struct super *s, const struct sn_effect *e);
void consent_forget(struct world *w, struct super *s);

/* operator.c: what operators change at run time */
struct group_options options_of_plan(const struct world *w, int group);
void options_put(struct group_options *o, const char *option, const char *value); /* leaves what it does not know */
struct operation *operator_sets(struct world *w, struct super *s, int group, const char *option, const char *value);
/* The file names this server for the master: NULL when the supervisor does not run. */
struct operation *operator_names(struct world *w, struct super *s, int group, const struct node *master);
void operator_changes(struct world *w, struct super *s, int group, bool by_file);
void operator_removes(struct world *w, struct super *s, int group, bool by_file);
void operator_monitors(struct world *w, struct super *s, int group, bool by_file);
void operator_moves(struct world *w, struct super *s, int group); /* the file names another master */
void operator_resets(struct world *w, struct super *s);
void operator_forgets_former(struct world *w);             /* RESET everywhere, where ids are gone */
void operator_settles_rebirth(struct world *w, int group); /* one that too few supervisors know of */
void operator_restores(struct world *w); /* every group is supervised everywhere, by the plan's settings */

/* node.c */
void node_init(struct world *w, int i);
void node_start(struct world *w, struct node *n);
void node_kill(struct world *w, struct node *n, bool host);
void node_stop(struct world *w, struct node *n);
void node_continue(struct world *w, struct node *n);
struct node *node_at(struct world *w, const struct addr *a);
void node_received(struct world *w, struct packet *p);
void node_publish(struct world *w, struct node *n, const char *text);
void node_end_pause(struct world *w, struct node *n);
bool node_loading(const struct world *w, const struct node *n);
bool node_paused(const struct world *w, const struct node *n);

/* repl.c */
void repl_cron(struct world *w, struct happening *h);
void repl_follow(struct world *w, struct node *n, int master);
void repl_promote(struct world *w, struct node *n);
void repl_append(struct world *w, struct node *n, int64_t bytes, int write, const char *text);
void repl_lost(struct world *w, struct node *n); /* n's link to its master is gone */
void repl_drop_replicas(struct world *w, struct node *n);
void repl_failover(struct world *w, struct node *n, int to, int64_t timeout_us);
void repl_failover_abort(struct world *w, struct node *n);
void repl_clear(struct node *n);
void repl_end(struct world *w);

/* client.c */
void client_start(struct world *w, int group);
bool holds_write(const struct node *n, size_t write);
size_t client_lost(const struct world *w, int group, const struct node *n, int64_t from_us, int64_t to_us);

/* check.c */
void check_init(struct world *w);
void check_free(struct world *w);
void check_settled(struct world *w);                                            /* all know each other from here on */
void check_effect(struct world *w, struct super *s, const struct sn_effect *e); /* before it is carried out */
void check_step(struct world *w, struct super *s);                              /* after the effects of a step */
void check_opinions(struct world *w, struct super *s, const struct packet *answer);
void check_ballots(struct world *w, struct super *s, const struct packet *question, const struct sn_ballot *b,
                   size_t n);
void check_started(struct world *w, struct super *s);
void check_anew(struct world *w, const struct super *s, int group); /* it knows nothing of the group any more */
void check_state_lost(struct world *w, const struct super *s, int group);
void check_new_id(struct world *w, const struct super *s); /* it is another supervisor from here on */
void check_coordinated(struct world *w, int group, const struct node *promoted, bool by_server); /* just before */

/* converged.c: rule S7. NULL when all agree, otherwise what is missing (in static memory). */
const char *not_converged(struct world *w);
bool all_acquainted(struct world *w);
bool node_forgotten(struct world *w, const struct node *n); /* by SENTINEL RESET, everywhere */
struct node *true_master(struct world *w, int group);       /* whom most supervisors hold for it */

/* fault.c */
void fault_init(struct world *w);
void fault_free(struct world *w);
void fault_begin(struct world *w);
void fault_heal(struct world *w);
void fault_repair(struct world *w);
bool fault_none_since(const struct world *w, int64_t us);
void fault_crashed(struct world *w, const struct super *s); /* one that was to crash has done so */

/* transcript.c */
void record_free(struct record *r);
struct record *record_new(bool at_once);
void record_line(struct world *w, const char *who, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void record_event(struct world *w, const struct super *s, const struct sn_event *e);
void record_effect(struct world *w, const struct super *s, const struct sn_effect *e);
void record_print(const struct record *r);            /* the last lines, unless they were printed at once */
const char *end_name(const struct world *w, int end); /* in one of a few static buffers */
const char *addr_name(const struct world *w, const struct addr *a);
const char *command_name(enum sn_command c);

#define RECORD(w, ...)                   \
    do {                                 \
        if ((w)->record != NULL)         \
            record_line(w, __VA_ARGS__); \
    } while (0)

#endif
