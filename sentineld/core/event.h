/* Everything that can happen to the core. An event is data: the shell (or the simulator) fills one in and calls
 * sn_step(). Nothing in it is kept by the core after the call; whatever it needs, it copies. */
#ifndef CORE_EVENT_H
#define CORE_EVENT_H

#include "sentineld/core/hello.h"
#include "sentineld/core/info.h"
#include "sentineld/core/lease_told.h"
#include "sentineld/core/reload.h"
#include "sentineld/core/swap.h"

/* Names one connection, from the CONNECT effect until the core says DISCONNECT or is told LINK_DOWN. Never used again,
 * so a late event of a connection that is gone finds nobody. */
typedef uint64_t sn_link;

/* Names whoever waits for an ANSWER effect: a client's request. Chosen by the shell; the core gives it back. */
typedef uint64_t sn_token;

enum sn_down_why {
    SN_WHY_REFUSED,  /* nobody listens there: the process is gone */
    SN_WHY_CLOSED,   /* was up, and was closed or reset by the other side */
    SN_WHY_TIMEOUT,  /* no answer to the connection request */
    SN_WHY_RESOLVE,  /* the name has no address */
    SN_WHY_PROTOCOL, /* bytes that are no RESP, or too many */
    SN_WHY_OTHER,
};

/* the answer to PING */
enum sn_pong {
    SN_PONG_OK,
    SN_PONG_LOADING,
    SN_PONG_MASTERDOWN,
    SN_PONG_BUSY,
    SN_PONG_AUTH,  /* NOAUTH, WRONGPASS, NOPERM */
    SN_PONG_ERROR, /* any other answer: not valid */
};

enum sn_ballot_verb {
    SN_BALLOT_DOWN,     /* I hold S_DOWN for this master: do you? */
    SN_BALLOT_UP,       /* I no longer do */
    SN_BALLOT_VOTE,     /* I stand at this epoch for this replica: your vote? (implies nothing about S_DOWN: it may be
                         planned) */
    SN_BALLOT_CANCEL,   /* I have given that up without sending a promotion: your grant is free */
    SN_BALLOT_RETURNED, /* the master has given its lease back for my ballot of this epoch: what you grant to its
                           candidate need not wait any more */
};

/* One master in a question between supervisors. IS-MASTER-DOWN-BY-ADDR is one of these without name and candidate. */
struct sn_ballot {
    enum sn_ballot_verb verb;
    bool down;         /* with VOTE: I hold S_DOWN as well */
    bool ordered;      /* with VOTE: an operator wants it, so no pause stands against it (pause.h) */
    const char *group; /* NULL in the stock form: found by the master's address */
    struct addr master;
    uint64_t epoch;        /* of VOTE, CANCEL and RETURNED */
    struct addr candidate; /* of VOTE: the replica that would be promoted; host "" when not said (stock) */
    int64_t asked_us;      /* of one that is sent: when, by the sender's clock; it is given back with the answer */
};

/* the answer to one */
struct sn_opinion {
    const char *group;
    struct addr master; /* that was asked about: an answer about a former master is void */
    bool down;
    runid leader; /* "" for "*" */
    uint64_t leader_epoch;
    char grant[SN_GRANT_TEXT]; /* of a vote given to a replica of a shard under leases: what the voter grants to it, as
                                  the node reads it (lease.h); "" nothing */
    uint64_t asked_epoch; /* the epoch of the VOTE that this answers, 0 when no vote was asked for: filled in by the
                             asker's side, as is */
    int64_t asked_us;     /* the question's */
};

/* What supervisors say to each other about swaps of databases (swap.h), both ways. */
enum sn_swap_verb {
    SN_SWAP_STAND,  /* I stand at `epoch`: your vote? */
    SN_SWAP_ACCEPT, /* I was elected at `epoch`: accept the entry of `has`, which I have accepted from there */
    SN_SWAP_TELL,   /* this is what I have */
};

struct sn_swap_word {
    enum sn_swap_verb verb;
    uint64_t list;      /* version of the sender's list of supervisors; of an answer 0: it could not be written */
    uint64_t epoch;     /* of the ballot */
    uint64_t config;    /* the greatest config epoch that the sender has heard of in the cluster */
    bool yes;           /* of an answer */
    struct sn_swap has; /* the sender's record */
    /* The lists of supervisors that this record is of, with ';' between them, the sender's present one last: a majority
     * of each of the others has a part in what is decided. "": the sender has us on no list. Of a word in an effect it
     * belongs to the effect. */
    struct slice lists;
};

/* what a SEND effect asks a node to do and an ACK event answers */
enum sn_command {
    SN_CMD_PING,
    SN_CMD_INFO,
    SN_CMD_HELLO,     /* PUBLISH __sentinel__:hello */
    SN_CMD_REPLICAOF, /* the transaction of reference section 7; to nobody is the promotion */
    SN_CMD_ACCEPT,    /* REPLICAOF ACCEPT id: this empty history of its master may come (accept.c) */
    SN_CMD_SCRIPT_KILL,
    SN_CMD_FAILOVER, /* FAILOVER TO host port TIMEOUT ms */
    SN_CMD_FAILOVER_ABORT,
    SN_CMD_PAUSE, /* CLIENT PAUSE ms [WRITE] */
    SN_CMD_UNPAUSE,
    SN_CMD_NODES,            /* CLUSTER NODES */
    SN_CMD_TAKEOVER,         /* CLUSTER FAILOVER TAKEOVER: the promotion in a cluster; under leases with EPOCH, FROM and
                                GRANTS */
    SN_CMD_LEASE,            /* CLUSTER LEASE: under leases, what PING is elsewhere */
    SN_CMD_LEASE_RETURN,     /* CLUSTER LEASE RETURN */
    SN_CMD_RELEASE,          /* CLUSTER RELEASE: our word that the node is nobody's any more */
    SN_CMD_CLUSTER_FAILOVER, /* CLUSTER FAILOVER, to a replica: the nodes' own planned switch */
    SN_CMD_REPLICATE,        /* CLUSTER REPLICATE id */
    SN_CMD_BUMP_EPOCH,       /* CLUSTER BUMPEPOCH */
    SN_CMD_FREEZE,           /* CLUSTER FREEZESLOTMIGRATIONS id ms */
    SN_CMD_NO_FAILOVER,      /* CONFIG SET cluster-replica-no-failover yes or no */
    SN_CMD_DBMAP_PREPARE,    /* CLUSTER DBMAP PREPARE ...; its OK has the text of the answer, as those below */
    SN_CMD_DBMAP_APPLY,
    SN_CMD_DBMAP_ABORT,
    SN_CMD_DBMAP_DONE,
    SN_CMD_PROBE,   /* to a peer: SENTINEL BALLOT without ballots: is it one of ours? */
    SN_CMD_ASK,     /* to a stock peer: IS-MASTER-DOWN-BY-ADDR, one ballot */
    SN_CMD_BALLOT,  /* to one of ours: any number of ballots */
    SN_CMD_SWAP,    /* to one of ours: SENTINEL MAPPING, about a swap of databases */
    SN_CMD_GIVE_UP, /* to one of ours: SENTINEL CLUSTER RELEASE name ALONE */
    SN_CMD_TAKE_ON, /* to one of ours: SENTINEL CLUSTER ADOPT name ALONE */
};

enum sn_event_kind {
    SN_EV_TICK,        /* nothing but the time: the deadline has come */
    SN_EV_LINK_UP,     /* link, ip, local_ip */
    SN_EV_LINK_DOWN,   /* link, why */
    SN_EV_AUTH_FAILED, /* link: AUTH was refused; the link stays */
    SN_EV_PONG,        /* link, pong */
    SN_EV_INFO,        /* link, info */
    SN_EV_HELLO,       /* text; link of the subscription, or 0 when a peer published it to us */
    SN_EV_LEASE,       /* link, command (LEASE or LEASE_RETURN), told; an error is an ACK */
    SN_EV_NODES,       /* link, text: the answer to CLUSTER NODES; an error is an ACK */
    SN_EV_ACK,    /* link, command, ok, text: answer to a command of the kinds REPLICAOF ... NO_FAILOVER, HELLO; not ok:
                     to INFO and NODES too */
    SN_EV_PROBED, /* link, ok (one of ours), text (its id), epoch (its current epoch) */
    SN_EV_OPINIONS,       /* link, opinions: answer to ASK or BALLOT; none when the answer was an error */
    SN_EV_BALLOTS,        /* token, text (asker's id, "" for "*"), epoch (asker's current), stock, ballots: answered by
                             ANSWER_BALLOTS */
    SN_EV_SWAP,           /* token, text (asker's id), epoch (its current one), group (the cluster), swap: answered by
                             ANSWER_SWAP */
    SN_EV_SWAP_ANSWER,    /* link, group (the cluster), swap: answer to SWAP; an error is an ACK */
    SN_EV_PERSISTED,      /* seq: all up to it are on disk */
    SN_EV_PERSIST_FAILED, /* seq, text: none after the last PERSISTED up to seq is */
    SN_EV_VERDICT, /* group, epoch, ok, text (the reason, when not): answer to VETO; one that comes late finds nobody */
    SN_EV_HOOKS,   /* ok: from now on VETO is asked before every promotion; not ok: it is not */
    SN_EV_LOOK,    /* group: somebody wants to know how its servers are now, so they are asked for INFO */
    /* What operators ask for. Each is answered by exactly one ANSWER effect, at once or when it is durable. */
    SN_EV_MONITOR,    /* token, group, addr, number (quorum) */
    SN_EV_REMOVE,     /* token, group */
    SN_EV_SET,        /* token, group, argv: option value ... */
    SN_EV_CONFIG_SET, /* token, argv: key value ... (SENTINEL CONFIG SET) */
    SN_EV_DEBUG,      /* token, argv: name ms ... */
    SN_EV_RELOAD,     /* token, reload: the core takes it */
    SN_EV_RESET,      /* token, text: glob; answered with the number of groups */
    SN_EV_FAILOVER,   /* token, group, coordinated, addr (wanted replica, host "" for the best) */
    SN_EV_FLUSH,      /* token: answered when everything known now is on disk */
    SN_EV_RELEASE,    /* token, group: a cluster is given up. Answered when it is on disk and its nodes, those that
                         answer, elect by themselves again. Under leases by all supervisors, unless `alone` */
    SN_EV_ADOPTED,  /* token, group: that cluster was taken on here (RELOAD): the others are told to, unless `alone` */
    SN_EV_SWAPDB,   /* token, group (a cluster), databases: answered when every master has it, or why not */
    SN_EV_PAUSE,    /* token, group (a group, a cluster, or SN_PAUSE_ALL), number (ms), argv: owner, reason; wall_ms.
                       Answered when it is on disk */
    SN_EV_RESUME,   /* token, group (likewise; SN_PAUSE_ALL: all pauses): answered with how many were ended */
    SN_EV_SIMULATE, /* token, number: bits of enum sn_crash */
};

enum sn_crash {
    SN_CRASH_AFTER_ELECTION = 1,
    SN_CRASH_AFTER_PROMOTION = 2,
    SN_CRASH_AFTER_SWAP_BEGIN = 4,   /* a majority has the attempt, no master was asked */
    SN_CRASH_AFTER_SWAP_PREPARE = 8, /* all masters said yes, nothing is proposed */
    SN_CRASH_AFTER_SWAP_COMMIT = 16, /* it is decided, no master was told */
};

struct sn_event {
    enum sn_event_kind kind;
    int64_t now_us; /* monotonic, suspended time counted; never goes back between steps (an earlier one is taken as
                       equal) */
    sn_link link;
    sn_token token;
    uint64_t seq;
    const char *ip;       /* LINK_UP: the address that the name stood for */
    const char *local_ip; /* LINK_UP: our own end */
    enum sn_down_why why;
    enum sn_pong pong;
    const struct sn_lease_told *told;
    struct sn_info *info; /* INFO: the core takes its contents and leaves it empty */
    struct slice text;
    enum sn_command command;
    bool ok, stock, coordinated, alone;
    uint64_t epoch;
    const struct sn_opinion *opinions;
    const struct sn_ballot *ballots;
    const struct sn_swap_word *swap;
    int databases[2];
    size_t count; /* of opinions, ballots, argv */
    struct slice group;
    struct addr addr;
    int64_t number;
    int64_t wall_ms; /* PAUSE: what the wall clock shows, in milliseconds since 1970 */
    const struct slice *argv;
    struct sn_reload *reload;
};

#endif
