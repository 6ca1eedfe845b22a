/* Everything that can happen to the core of the bus. An event is data: the shell (or a simulated world) fills one in
 * and calls cl_step(). The core keeps nothing of it; whatever it needs, it copies. */
#ifndef CLUSTER_EVENT_H
#define CLUSTER_EVENT_H

#include "noded/cluster/id.h"

/* Names one connection of the bus, and is never used again, so that a late event finds nobody. Those that the core asks
 * for (CONNECT) it numbers itself from 1 on; those that come in are numbered by the shell, with CL_INCOMING set. A link
 * lives until the core says DISCONNECT or is told LINK_DOWN. */
typedef uint64_t cl_link;
#define CL_INCOMING (UINT64_C(1) << 63)

/* Names whoever waits for an ANSWER. Chosen by the shell; the core gives it back. 0: nobody waits. */
typedef uint64_t cl_token;

enum cl_endpoint { CL_ENDPOINT_IP, CL_ENDPOINT_HOSTNAME, CL_ENDPOINT_UNKNOWN };

#define CL_HOSTNAME_MAX 256 /* with its terminator */

/* Settings, as CONFIG SET changes them. Copied as they stand. */
struct cl_settings {
    int64_t node_timeout_ms;   /* NT in the comments; 1 or more */
    int64_t validity_factor;   /* of a candidate's data; 0: any age will do */
    int64_t migration_barrier; /* replicas that a donor keeps */
    int64_t repl_ping_ms;      /* period of the data side's own pings */
    bool full_coverage, no_failover, reads_when_down, pubsub_when_down, allow_migration;
    enum cl_endpoint endpoint;
    uint16_t port, bus_port;                   /* where this node listens */
    uint16_t announce_port, announce_bus_port; /* 0: those above */
    char announce_ip[CL_IP_MAX];               /* "": as others see us */
    char hostname[CL_HOSTNAME_MAX];            /* "": none */
};

/* What the data side knows and the core needs; whole in every event. The shell gives a TIME event when link_up, loading
 * or has_keys changes, and otherwise whenever something happens anyway. */
struct cl_facts {
    int64_t offset;       /* of the replication stream: a master's own, of a replica what it has taken in */
    int64_t old_since_us; /* replica: since when its data may be old (monotonic): when the link to its master was lost,
                             or now while it is up; -1: it never had its master's data */
    bool link_up;         /* replica: the link to its master is up and in sync */
    bool loading;
    bool has_keys;          /* some database holds a key */
    bool sends_keys;        /* a MIGRATE waits for the other end, and deletes its keys here then */
    uint64_t mapping_epoch; /* of the dataset's mapping of databases (SWAPDB a b EPOCH n) */
    int databases;          /* cluster-databases */
    int64_t boot_us;        /* a clock that counts suspended time too: that of leases */
};

enum cl_verb {
    CL_MEET_NODE,  /* ip, port, bus_port (0: port + 10000) */
    CL_FORGET,     /* node */
    CL_ADDSLOTS,   /* slots: a bitmap. The shell has read the arguments and refused what is no slot or named twice. */
    CL_DELSLOTS,   /* slots */
    CL_FLUSHSLOTS, /* refused while facts.has_keys */
    CL_SETSLOT_MIGRATING, /* slot, node, slot_in_others */
    CL_SETSLOT_IMPORTING, /* slot, node */
    CL_SETSLOT_STABLE,    /* slot */
    CL_SETSLOT_NODE,      /* slot, node, slot_has_keys (in any database) */
    CL_REPLICATE,         /* node */
    CL_FAILOVER,          /* force, takeover */
    CL_RESET,             /* hard */
    CL_BUMPEPOCH,
    CL_SET_CONFIG_EPOCH, /* number */
    CL_SAVECONFIG,
    CL_MIGRATE_SLOTS,     /* moves */
    CL_CANCEL_MIGRATIONS, /* all that this node is the source of */
    CL_DBMAP_PREPARE,     /* databases, number: the epoch of the mapping that it is to become; ballot, request */
    CL_DBMAP_APPLY,       /* databases, number, ballot */
    CL_DBMAP_ABORT,       /* number, ballot, text: why */
    CL_DBMAP_DONE,        /* number: every master has that mapping */
    CL_SWAP_WISH,         /* databases: a client's SWAPDB, answered when the supervisors have made it everywhere */
    CL_LEASE,             /* lease (lease.h). Refused lists: "STALESUPERVISORS ..." */
    CL_TAKEOVER,          /* promotion */
    CL_RELEASE,           /* lease: the word of its speaker, of whom a majority is needed; NULL: an operator's */
    CL_FREEZE             /* node, number: migrations from and to it do not go on to their pause for so many ms */
};

struct cl_lease_ask;
struct cl_takeover;

/* One job to begin (MIGRATESLOTS). */
struct cl_move {
    struct slice node; /* id of the target */
    uint8_t slots[CL_SLOT_BYTES];
};

struct cl_command {
    enum cl_verb verb;
    struct slice node; /* an id as the client wrote it; unknown ones get the error that Redis has for it */
    struct slice ip;
    int64_t port, bus_port, number;
    int slot;
    bool slot_has_keys, force, takeover, hard;
    bool slot_in_others; /* some database other than 0 holds keys of it */
    bool with_others;    /* of a transaction: the shell sets the event's more when the next one is there */
    int database_a, database_b;
    uint64_t ballot;  /* of a swap: names the attempt, 0: unnamed */
    uint64_t request; /* of PREPARE: the wish of a client here that it is made for; 0: none of ours */
    struct slice text;
    const uint8_t *slots;
    const struct cl_move *moves;
    size_t nmoves; /* 1 or more */
    const struct cl_lease_ask *lease;
    const struct cl_takeover *promotion;
};

/* What the data side tells of a migration (handover.h). All but ASKED name a job of this node; of one that is over, or
 * that it does not have, nothing happens. */
enum cl_job_news {
    /* the source's */
    CL_JOB_IS_SNAPSHOTTING,
    CL_JOB_IS_STREAMING, /* the target's too, which changes nothing there; seq: keys of the snapshot */
    CL_JOB_IS_NEAR,      /* little is left to send, and the target has flushed nearly all: writes may be paused */
    CL_JOB_IS_DRAINED,   /* the target has all, on disk, and so have its replicas; seq: the greatest epoch it knows */
    /* the target's */
    CL_JOB_IS_ASKED,   /* node: the source, slots, seq: its mapping epoch. Answered by CL_FX_JOB_ACCEPT. */
    CL_JOB_IS_GRANTED, /* seq: the epoch */
    /* both: the link is gone, or the data side cannot go on; bytes: why. seq: 1 at a source whose link broke */
    CL_JOB_IS_LOST
};

enum cl_event_kind {
    CL_EV_TIME,           /* nothing but the time and the facts */
    CL_EV_LINK_UP,        /* link (one of ours), local_ip: our own end's address */
    CL_EV_LINK_DOWN,      /* link (either kind): refused, closed, reset, timed out */
    CL_EV_ACCEPTED,       /* link (CL_INCOMING), ip: the peer's address; local_ip: our own end's */
    CL_EV_MESSAGE,        /* link, bytes: one message as cl_wire_length() frames them */
    CL_EV_PERSISTED,      /* seq: all up to it are on disk, and flushed */
    CL_EV_PERSIST_FAILED, /* seq, bytes: why */
    CL_EV_COMMAND,        /* token, command: exactly one ANSWER follows, now or when it is durable */
    CL_EV_SETTINGS,       /* settings */
    CL_EV_JOB,            /* job, news, and what that says */
    CL_EV_SLOT_KEYS,      /* to CL_FX_SLOT_KEYS: node, slot and token as there, seq: keys of it in all databases */
    CL_EV_PUBLISH /* channel, bytes, shard: a client here published this; it is spread. Local subscribers are the
                     shell's: it has told them already. */
};

struct cl_event {
    enum cl_event_kind kind;
    int64_t now_us;  /* monotonic; an earlier time than that of the last step is taken as equal */
    int64_t unix_ms; /* only for what the wire and nodes.conf carry */
    struct cl_facts facts;
    cl_link link;
    cl_token token;
    uint64_t seq;
    int slot;
    const char *ip, *local_ip;
    struct slice bytes, channel;
    bool shard;
    bool more; /* the next event is there already, and nobody looks at what is between: nothing follows from it yet */
    struct cl_id job, node;
    enum cl_job_news news;
    const uint8_t *slots;
    const struct cl_command *command;
    const struct cl_settings *settings;
};

#endif
