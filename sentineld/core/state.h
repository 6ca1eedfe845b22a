/* The core's state, for the core's own files and for readers: the shell's SENTINEL MASTERS and INFO, the simulator's
 * checkers. Only the core writes it.
 *
 *   core --< group --< inst >-- node      an inst is one server process (node) in its part in one group
 *               \--< seat >-- peer        a seat is one other supervisor (peer) in its part in one group
 *
 * Nodes and peers have the links; what is down and who voted for what belongs to the group, so to inst and seat. */
#ifndef CORE_STATE_H
#define CORE_STATE_H

#include "common/base/heap.h"
#include "common/base/idmap.h"
#include "common/base/map.h"
#include "common/base/rng.h"
#include "sentineld/core/core.h"
#include "sentineld/core/lease.h"
#include "sentineld/core/pause.h"

#define SN_IP_MAX 46

#define SN_ISSUED_MAX 64

/* No honest supervisor comes near. A higher epoch from outside is ignored: it would leave no room above it. */
#define SN_EPOCH_MAX (UINT64_C(1) << 62)

enum sn_conn_state { SN_CONN_IDLE, SN_CONN_CONNECTING, SN_CONN_UP };

/* One deadline per object; its kind tells the core what it belongs to. */
struct sn_timer {
    struct heap_node at; /* first */
    enum { SN_TIMER_NODE, SN_TIMER_PEER, SN_TIMER_GROUP, SN_TIMER_FLEET, SN_TIMER_CORE } of;
};

struct sn_conn {
    sn_link link; /* 0 when idle */
    enum sn_conn_state state;
    enum sn_down_why why; /* of the last LINK_DOWN */
    int64_t since_us;     /* when the state began */
    int64_t retry_us;     /* idle: when to connect again */
    int64_t backoff_us;
    bool auth_failed;
    void *owner; /* sn_node or sn_peer */
    enum { SN_CONN_NODE, SN_CONN_NODE_SUB, SN_CONN_PEER } of;
};

/* How long a process has been silent, and its probes: the same for nodes and peers. */
struct sn_probe {
    int64_t silent_us;  /* since when no valid answer is to be had; 0: not silent. The base of S_DOWN (see probe.c) */
    int64_t sent_us;    /* last PING sent, 0 never */
    int64_t pending_us; /* the first PING without an answer was sent then; 0: none is open */
    int64_t valid_us;   /* last valid answer (PONG, LOADING, MASTERDOWN); 0 never */
    int64_t answer_us;  /* last answer of any kind */
    int64_t rtt_us;     /* of the last PING */
    int64_t broken_us;  /* when a silent link was last broken by us */
    enum sn_pong last;
};

/* First what every PING touches, together: there are thousands, and nearly all that happens is PINGs. */
struct sn_node {
    struct sn_core *core;
    struct sn_inst *insts; /* by next_on_node */
    struct sn_timer timer;
    struct sn_node *next_touched;
    bool touched;
    bool calm;        /* held for down in no group, not restarted just now: an answered PING changes nothing */
    bool info_now;    /* wanted at once */
    bool lived;       /* it was seen as the master that it is, with keys, in this life of its process */
    bool keys_before; /* of a replica whose master went silent: it was linked then, and held keys */
    unsigned pending; /* commands without an answer */
    struct sn_probe probe;
    struct sn_conn cmd, sub;
    int64_t info_us;       /* when it came; 0 never */
    int64_t info_sent_us;  /* 0: none is open */
    int64_t info_asked_us; /* last sent, answered or not */
    int64_t hello_us;      /* last published there */
    int64_t sub_heard_us;  /* last message on the subscription */
    int64_t sub_spare_us;  /* since when the subscription is not needed, 0: it is */
    int64_t role_us;       /* since when it reports this role */
    struct sn_info info;
    /* of a cluster (fleet.h) */
    struct sn_fleet *fleet;   /* NULL: of none */
    struct sn_member *member; /* that is reached here; NULL: not known yet */
    unsigned held;            /* members whose address this is */
    bool seed;                /* named in the configuration of the fleet: kept, whoever sits there */
    bool nodes_now;           /* CLUSTER NODES is wanted at once */
    bool known;               /* it told on this link who it is, and belongs to the fleet */
    bool asserted;            /* it was told on this link whether to elect by itself */
    bool unanswered;          /* and has not answered yet */
    runid self;               /* the node id that it told last */
    int64_t nodes_us;         /* when CLUSTER NODES came, 0 never */
    int64_t nodes_sent_us;    /* 0: none is open */
    /* under leases (grant.c) */
    struct sn_lease_told *told; /* its last answer to LEASE; NULL: none yet */
    struct sn_stamp stamp;      /* of it, when it is the member that we take it for */
    bool lease_soon;            /* the next LEASE may grant what the last one could not */
    int64_t lease_asked_us;     /* a LEASE is without answer, sent then; 0: none */
    bool unjudged;              /* it has restarted, and has not said in INFO since what it holds */
    bool freed;                 /* it says that nobody supervises it, */
    int64_t free_us;            /* it was told so last then; 0: it was not */
    bool freeing;               /* and has not answered yet */
    int64_t swap_sent_us;       /* when it was last told of a swap of databases */
    bool swap_stuck;            /* it cannot come to the mapping of the others: told */
    bool lease_refused;         /* it does not know LEASE: a stock node, asked by PING and INFO */
    struct addr addr;           /* as configured or announced */
    char ip[SN_IP_MAX];         /* what a host name stood for at the last connect, or the literal; "" unknown */
    char local_ip[SN_IP_MAX];   /* our own end of the link */
};

/* Why a server is held for down; the facts of `sn_inst_judge`, in its order. */
enum sn_sdown { SN_SDOWN_SILENT, SN_SDOWN_ROLE, SN_SDOWN_REBOOT, SN_SDOWN_REBORN_EMPTY, SN_SDOWN_STRANGER };

enum sn_reconf { SN_RECONF_NONE, SN_RECONF_SENT, SN_RECONF_INPROG, SN_RECONF_DONE };

struct sn_inst {
    struct sn_group *group;
    struct sn_node *node;
    struct sn_inst *next_on_node;
    bool s_down;
    int64_t s_down_us; /* since */
    enum sn_sdown s_down_why;
    int64_t s_down_base_us;  /* since when that fact held when it was judged */
    int64_t s_down_why_us;   /* when it was judged so: later than s_down_us when the reason changed */
    int64_t s_down_after_ms; /* and what down-after was then */
    int64_t up_us;           /* when S_DOWN last ended, or creation */
    bool listed;             /* false after RESET until INFO confirms it */
    int64_t unlisted_us;
    enum sn_reconf reconf;
    int64_t reconf_us; /* since when */
    bool script_kill_sent;
    bool master_reboot; /* restarted, and has not answered PONG since */
    int64_t reboot_us;
    bool restarted;           /* has a new run id, and is not yet judged by SAFETY section 4 */
    bool reborn_empty;        /* SAFETY section 4: down at once */
    int64_t refused_us;       /* when it last refused a promotion, 0 never */
    int64_t repaired_us;      /* when it was last told whom to follow, outside of a failover */
    int64_t accepted_us;      /* when it was last told to let its master's empty dataset in; later where it refused */
    int64_t wrong_us;         /* since when it reports another master than the group's; 0: it does not */
    struct sn_member *member; /* in a cluster: which node it is; its group's shard is never without */
    int64_t stranger_us;      /* since when another node of the cluster sits at its address; 0: none does */
};

struct sn_peer {
    struct sn_core *core;
    runid id; /* "" for a declared peer not yet heard of */
    struct addr addr;
    char ip[SN_IP_MAX];
    bool declared;
    struct sn_conn cmd;
    struct sn_probe probe;
    struct sn_timer timer;
    bool touched;
    struct sn_peer *next_touched;
    enum { SN_PEER_UNKNOWN, SN_PEER_STOCK, SN_PEER_OURS } kind;
    uint64_t epoch;   /* highest current epoch heard from it */
    bool heard;       /* its epoch is known, as of now: it told us itself since we started (see greet.c) */
    int64_t hello_us; /* last hello heard */
    int64_t addr_us;  /* last one that named the address we know */
    int64_t hello_sent_us;
    unsigned rounds;             /* of hellos since the link came up */
    int64_t span_us, span_at_us; /* the shortest down-after of its groups, as of then; 0: to be looked for */
    struct sn_seat *seats;       /* by next_on_peer */
    unsigned ndown;              /* seats that are S_DOWN */
    unsigned batches;            /* BALLOT requests without an answer */
    struct sn_seat *wants;       /* seats with something to ask, by next_wanting; asked at the end of the step */
    struct sn_seat *wants_last;
    unsigned pending;
};

struct sn_seat {
    struct sn_group *group;
    struct sn_peer *peer;
    struct sn_seat *next_on_peer;
    bool listed; /* false after RESET until a hello confirms it */
    int64_t unlisted_us;
    bool s_down; /* the supervisor itself does not answer */
    int64_t s_down_us;
    bool down;         /* its opinion of the group's master */
    int64_t down_us;   /* when it said so (opinions expire), 0 never */
    int64_t word_us;   /* when it last said by itself, unasked, how it holds the master, 0 never */
    runid vote_leader; /* its last vote for this group's master */
    uint64_t vote_epoch;
    bool failed; /* its last ballot was cancelled or ran out: last in rank */
    int64_t hello_us;
    bool told; /* our configuration of told_epoch was sent to it over the link that is up */
    uint64_t told_epoch;
    uint64_t refused_epoch;    /* the last of our ballots that it did not grant */
    char grant[SN_GRANT_TEXT]; /* what came with its vote of vote_epoch; "" nothing */
    int64_t asked_us;          /* last asked about the master, 0 since it is up: never */
    bool want_ask, want_vote, want_up;
    uint64_t want_cancel;          /* epoch, 0 none */
    bool want_returned, regranted; /* of a planned switch under leases: to be told, has granted anew */
    bool wanting;                  /* is in the peer's list */
    struct sn_seat *next_wanting;
};

enum sn_fo_state {
    SN_FO_NONE,
    SN_FO_WAIT_START,         /* standing: votes are asked for */
    SN_FO_SELECT_SLAVE,       /* elected; passed through within one step */
    SN_FO_SEND_SLAVEOF_NOONE, /* promotion not yet sent (also: coordinated, waiting for the offsets) */
    SN_FO_WAIT_PROMOTION,
    SN_FO_RECONF_SLAVES, /* the group's master is the new one already; the others follow */
};

/* When the phases of an attempt ended, for the account of it; 0: not reached, or not part of it (a planned one). */
struct sn_phases {
    int64_t silent_us, s_down_us, o_down_us, elected_us, sent_us, promoted_us;
};

/* of a coordinated failover, inside SEND_SLAVEOF_NOONE */
enum sn_switch_step {
    SN_SWITCH_NONE,
    SN_SWITCH_SERVER, /* the server's own FAILOVER runs */
    SN_SWITCH_PAUSE,  /* CLIENT PAUSE sent, not answered */
    SN_SWITCH_DRAIN,  /* paused; waiting for equal offsets */
    SN_SWITCH_RETURN, /* under leases: the master was told to give its lease back, */
    SN_SWITCH_CATCH,  /* and has done so; waiting for equal offsets and new grants */
};

struct sn_failover {
    enum sn_fo_state state;
    int64_t start_us, state_us; /* of the attempt, of the state */
    uint64_t epoch;             /* of the ballot */
    bool own_vote;              /* our own vote is on disk */
    bool forced;                /* by SENTINEL FAILOVER */
    bool unopposed;             /* forced, and nobody to ask answered: went ahead without votes */
    bool coordinated;
    bool inherited; /* coordinated, and not ordered here: its leader is gone, and we finish it (SAFETY E9) */
    enum sn_switch_step step;
    int64_t pause_end_us;
    bool asking; /* elected; the operator's hooks are asked whether it may go on (inside SEND_SLAVEOF_NOONE) */
    bool sent;   /* the promotion left */
    bool took;   /* under leases: the candidate has answered that it is the master at our epoch, on its disk */
    struct sn_inst *candidate;
    bool incumbent;     /* it is the master: the ballot gives it a lease again (SAFETY E5) */
    struct addr from;   /* the master that was replaced */
    struct addr wanted; /* forced: the replica that the operator named; host "" for the best */
    /* in a cluster */
    uint64_t
        config_epoch; /* confirmed: the config epoch that the promoted node got, which may differ from the ballot's */
    unsigned repeats; /* how often it was told again, because its epoch was not above all others */
    int64_t repeated_us;
    bool paused; /* the old master was told to pause its writes: it is released when it follows */
    struct sn_phases at;
};

struct sn_group {
    struct sn_core *core;
    char *name;
    struct sn_fleet *fleet; /* NULL: a classic group; otherwise it is a shard of that cluster */
    struct sn_shard *shard; /* likewise */
    struct sn_settings set;
    struct sn_inst *master;
    struct sn_inst **insts; /* all, the master too */
    size_t ninsts, cap_insts;
    struct sn_seat **seats;
    size_t nseats, cap_seats;
    struct sn_timer timer;
    bool touched;
    struct sn_group *next_touched;
    int64_t switched_us; /* since when it is the master; 0: since before this life began */
    uint64_t config_epoch;
    uint64_t config_ballot; /* the ballot that it came of, as far as that is known here; 0: it is not. A redis-server's
                               config epoch is another number than the ballot's */
    uint64_t config_seq;    /* master and config epoch are durable, so may be told, when this is persisted */
    runid lineage;          /* replication id of the data that the master had while it was well */
    uint64_t vote_epoch;    /* our last vote: epoch, for whom */
    runid vote_leader;
    struct addr vote_candidate; /* that the ballot named; not set: our own, or it named none */
    int64_t vote_lock_us;       /* until then we neither stand nor (for ours) vote for another, unless it is freed */
    bool vote_planned;          /* it was for a planned switch: the asker did not hold the master for down */
    bool vote_free;             /* it was cancelled, or led to a configuration */
    bool vote_void;             /* it was cancelled before a promotion was sent: nothing hidden comes of it */
    bool vote_same;             /* it was for the master that had our grants, and nothing else is hidden */
    uint64_t doubt_epoch;       /* the highest of our votes before it that may have led to a promotion, */
    int64_t doubt_lock_us;      /* and until when they bind us as vote_lock_us does */
    struct sn_lease lease;      /* of a shard under leases: what we have granted there */
    bool lease_dirty;
    int64_t unleased_us; /* since when the master, which is well, tells that it has no lease; 0: it has one */
    uint64_t lease_seq;  /* the grantee is durable when this is persisted */
    uint64_t vote_seq;   /* the vote is durable when this is persisted */
    bool o_down;
    int64_t o_down_us;
    struct sn_failover fo;
    struct {
        int64_t since_us; /* 0: none. Waits until the replicas have told their offsets anew */
        bool coordinated;
        struct addr wanted;  /* host "" for the best */
    } order;                 /* SENTINEL FAILOVER */
    int64_t stand_us;        /* when to stand, 0 not decided; see election.c */
    int64_t next_attempt_us; /* not before */
    unsigned lost_rounds;    /* in a row */
    int64_t no_good_us;      /* when -failover-abort-no-good-slave was last published, 0 not in this O_DOWN */
    bool heard;              /* SAFETY M2: has heard enough epochs to vote */
    bool suspect;            /* the replicas were asked for INFO ahead of S_DOWN */
    bool announce;           /* +switch-master of our own failover is due when the configuration is durable */
    struct addr announce_from;
    bool dirty, dirty_members; /* to be persisted at the end of the step */
    int64_t born_us;
    bool added;            /* at run time, not at the start */
    int64_t meet_us;       /* supervisors that discover each other: until then others may not be known yet, 0: never */
    uint64_t waiting_told; /* account.c: what keeps us from standing, as told last; 0: nothing */
    runid vote_told_to;    /* and the last request for our vote that was told of */
    uint64_t vote_told_epoch;
};

/* an effect or an operator's change that waits for the disk */
struct sn_pending {
    uint64_t seq;
    struct sn_effect fx;
    struct sn_change *change; /* see change.c */
    bool is_stand;            /* the vote requests of `group` may go out (fx.epoch: of which ballot) */
    bool is_vote;             /* our vote for fx.text at fx.epoch may be told */
    bool is_config;           /* the new configuration of `group` may be told */
    struct sn_group *group;
};

struct sn_extra {
    struct sn_record record;
    uint64_t seq; /* written with; 0: not yet, or not with success */
};

struct sn_core {
    runid id;
    int port;
    int64_t phase_us; /* of our PINGs */
    struct sn_globals globals;
    struct sn_params params;
    struct rng rng;
    uint64_t current_epoch;
    uint64_t told_epoch;  /* the highest that is known to be on disk: what peers are told */
    uint64_t stand_epoch; /* ballots that start in one step share an epoch; 0: none in this step */
    bool joined, id_drawn, asks_veto;
    int64_t now_us;
    struct sn_effects *out;   /* of the step that runs */
    struct sn_group **groups; /* in the order in which they came */
    size_t ngroups, cap_groups;
    struct sn_fleet **fleets;
    size_t nfleets, cap_fleets;
    struct map by_name; /* group name -> group */
    struct map nodes;   /* "host:port" and, when different, "ip:port" -> node */
    struct sn_peer **peers;
    size_t npeers, cap_peers;
    struct map by_id; /* supervisor id -> peer */
    struct addr *declared;
    size_t ndeclared;
    struct {
        char *list;       /* `supervisors` as configured, with commas between them; "": leases are not possible */
        int position;     /* our own place in it */
        uint64_t version; /* as nodes count it */
        bool counted;     /* some node counted it; otherwise it gives way to what nodes count (SAFETY M1) */
        char *speaker;    /* how LEASE names it */
        bool dirty, stale_told;
        int64_t since_us;   /* we speak under this version since then */
        int64_t tried_us;   /* when we tried that of a node; 0 never */
        int64_t waiting_us; /* since when nodes answer and do not count it; 0: one does, or none has answered */
    } ours;
    int64_t longest_ttl_us; /* of all leases that were granted in this life */
    struct idmap links;     /* link -> sn_conn */
    uint64_t last_link;
    struct heap timers;
    struct sn_group *touched_groups;
    struct sn_node *touched_nodes;
    struct sn_peer *touched_peers;
    struct sn_fleet *touched_fleets;
    /* the disk */
    uint64_t issued, persisted; /* sequence numbers of PERSIST */
    bool dirty_meta, flush;     /* flush: persist at the end of this step even if nothing changed */
    bool broken;                /* the last PERSIST failed */
    int64_t broken_retry_us;
    uint64_t epoch_at[SN_ISSUED_MAX]; /* the current epoch in each of the last ones issued, by number */
    struct sn_extra *extra;           /* records of what is gone, until they are on disk */
    size_t nextra, cap_extra;
    bool any_dirty;             /* some group is */
    int64_t issued_us, disk_us; /* when the last was issued; how long it took (smoothed) */
    struct sn_pending *waiting;
    size_t nwaiting, cap_waiting;
    struct sn_pending *running; /* what is due just now */
    size_t nrunning;
    /* stalls (TILT) */
    bool tilt;
    int64_t tilt_us; /* since */
    uint64_t tilts;
    unsigned crash;               /* bits of enum sn_crash */
    struct sn_timer housekeeping; /* persist retry, end of tilt */
    struct sn_joint *joint;       /* NULL: none runs (joint.c) */
    struct sn_pauses pauses;      /* of automatic failovers, by operators */
    bool pauses_dirty;            /* to be persisted at the end of the step */
    bool any_wants;               /* some peer has seats that want to ask */
};

/* Lookups; NULL when there is none. */
struct sn_group *sn_group_find(const struct sn_core *c, struct slice name);
struct sn_node *sn_node_find(const struct sn_core *c, const char *host, int port);
struct sn_group *sn_group_of_master(const struct sn_core *c, const struct addr *master);
/* The conn of a link, or NULL when it is gone: from it the shell finds node, groups and their renamed commands. */
struct sn_conn *sn_conn_of(const struct sn_core *c, sn_link link);
bool sn_node_is(const struct sn_node *n, const struct addr *a); /* by name or by resolved address */
/* Whether hellos are to be heard on this node: on a replica only while they are not heard on its master. */
bool sn_node_wants_sub(const struct sn_node *n);

/* What an outside reader is shown. */
struct addr sn_shown_addr(const struct sn_core *c,
                          const struct sn_node *n);      /* host name only with announce_hostnames */
struct addr sn_current_master(const struct sn_group *g); /* as GET-MASTER-ADDR-BY-NAME answers */
int sn_usable_voters(const struct sn_group *g);          /* linked, not S_DOWN; oneself included */
int sn_voters(const struct sn_group *g);                 /* all known, oneself included */
int sn_votes_needed(const struct sn_group *g);           /* max(majority of voters, quorum) */
const char *sn_fo_state_name(enum sn_fo_state s);
const char *sn_down_why_name(enum sn_down_why w);

#endif
