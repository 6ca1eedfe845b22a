/* The messages of the cluster bus, as stock nodes write and read them (reference: cluster-bus, section 1).
 *
 * A message is 8 bytes that tell its length, a header of 2256 bytes and a body by type. Reading checks everything that
 * a stranger could have made up and copies nothing but the header's small fields; writing appends to a buffer. */
#ifndef CLUSTER_WIRE_H
#define CLUSTER_WIRE_H

#include "noded/cluster/id.h"

#define CL_WIRE_HEADER 2256
#define CL_WIRE_MAX (64U << 20) /* bytes of the longest message that is taken in: a published one */

enum cl_type {
    CL_PING,
    CL_PONG,
    CL_MEET,
    CL_FAIL,
    CL_PUBLISH,
    CL_AUTH_REQUEST,
    CL_AUTH_ACK,
    CL_UPDATE,
    CL_MFSTART,
    CL_MODULE,
    CL_PUBLISH_SHARD,
    CL_HANDOVER, /* ours: of nodes of ours only */
    CL_TYPES
};

/* Flags of a node, on the wire and in the table of members. */
enum {
    CL_MASTER = 1 << 0,
    CL_REPLICA = 1 << 1,
    CL_PFAIL = 1 << 2,
    CL_FAILED = 1 << 3,
    CL_MYSELF = 1 << 4,
    CL_HANDSHAKE = 1 << 5,
    CL_NOADDR = 1 << 6,
    CL_MEETING = 1 << 7, /* the next message to it is a MEET */
    CL_MIGRATE_TO = 1 << 8,
    CL_NOFAILOVER = 1 << 9,
    CL_EXTENSIONS = 1 << 10
};

/* Flags of a message (its first flag byte). */
enum { CL_MSG_PAUSED = 1, CL_MSG_FORCE_ACK = 2, CL_MSG_HAS_EXTENSIONS = 4 };

enum cl_extension {
    CL_EXT_HOSTNAME,
    CL_EXT_NAME,
    CL_EXT_FORGOTTEN,
    CL_EXT_SHARD,
    CL_EXT_STATE = 0x4e44,     /* ours, between a master and its replicas: CL_STATE_BYTES, see cl_wire_put_state() */
    CL_EXT_SUPERVISED = 0x4e45 /* ours, between the same: see cl_wire_put_supervised() */
};

/* What a node of ours writes into unused bytes of its header, which stock nodes send as zeros and ignore: it knows all
 * databases, and the extensions above. */
#define CL_OWN_MARK "ndb1"

struct cl_header {
    enum cl_type type;
    uint64_t current_epoch, config_epoch, offset;
    struct cl_id sender, master; /* master: none when the sender is one */
    const uint8_t *slots;        /* CL_SLOT_BYTES; of a replica its master's */
    char ip[CL_IP_MAX];          /* "": the receiver sees it by itself */
    uint16_t port, bus_port, other_port;
    uint16_t flags;      /* of the sender */
    uint16_t extensions; /* how many follow the gossip */
    uint16_t gossip;     /* entries */
    uint8_t message_flags;
    bool ok;         /* the cluster's state, as the sender sees it */
    bool ours;       /* the sender wrote CL_OWN_MARK, */
    bool supervised; /* and that it counts a list of supervisors */
};

struct cl_gossip {
    struct cl_id id;
    uint32_t ping_s, pong_s; /* Unix seconds */
    char ip[CL_IP_MAX];
    uint16_t port, bus_port, other_port, flags;
};

/* A hand-over of slots that has begun and is not over (handover.h). */
struct cl_record {
    struct cl_id job, source, target;
    struct cl_id shard; /* the target's, as it was known first; none: it never was */
    bool taking;        /* this is the target's side of it */
    uint64_t epoch;
    uint8_t slots[CL_SLOT_BYTES];
};
#define CL_RECORDS_MAX 256

/* What CL_HANDOVER says. */
enum cl_say {
    CL_SAY_STATE,    /* a master to its replicas: what the next master must know */
    CL_SAY_ASK,      /* about one record: have the slots been taken? */
    CL_SAY_NOT,      /* they have not, and will not be */
    CL_SAY_HELD,     /* to one with an old claim of the slots of a record: they are ours, and nobody claims them now */
    CL_SAY_KEYS_ASK, /* by hand (SETSLOT): how many keys of a slot does it hold? No records, but slot and question, */
    CL_SAY_KEYS      /* and in the answer their number. */
};
struct cl_handover {
    enum cl_say say;
    uint64_t version, required;
    int database_a, database_b;
    uint64_t swap_epoch;
    bool swap_aborted;
    uint64_t swap_ballot;
    size_t records;
    int slot;                /* 0..16383 */
    uint64_t question, keys; /* question: names it, so that an answer to an older one is known as such */
};

/* What the extension CL_EXT_STATE says. */
struct cl_state_told {
    uint64_t version, required;
    bool counted;
    bool leased;     /* and the sender, which is supervised, held a lease then: nobody had come after it */
    uint32_t for_ms; /* how long the receiver may reckon with that: the sender's settings decide, which it waits by */
    uint64_t stamp;  /* a replica's own clock; of a master the newest that it has heard of the receiver */
};

/* A message that was read. Its slices point into the bytes it was read from. */
struct cl_message {
    struct cl_header head;
    struct slice entries, extensions; /* of PING, PONG, MEET: see the functions below */
    struct cl_id node;                /* of FAIL and UPDATE */
    uint64_t epoch;                   /* of UPDATE */
    const uint8_t *slots;             /* of UPDATE */
    struct slice channel, payload;    /* of PUBLISH and PUBLISH_SHARD */
    struct cl_handover handover;
    struct slice records; /* of HANDOVER: see cl_wire_record() */
};

/* How many bytes the message at p[0..n) has. 0: more are needed to know. -1: these are no messages; *why says it. */
int64_t cl_wire_length(const char *p, size_t n, const char **why);

enum cl_read {
    CL_READ_OK,
    CL_READ_SKIP, /* well framed, but of a kind that is not for us: unknown types, modules, other versions */
    CL_READ_BAD   /* contradicts itself: nothing of it is believed */
};
/* p[0..n) is one message, as cl_wire_length() counts. *why (never NULL) is set unless OK. */
enum cl_read cl_wire_read(const char *p, size_t n, struct cl_message *out, const char **why);
/* Entry i of head.gossip. false: it names no node, which is to be skipped. */
bool cl_wire_gossip(const struct cl_message *m, size_t i, struct cl_gossip *out);
/* for (struct slice rest = m->extensions; cl_wire_extension(&rest, &type, &body);) Unknown types are shown too. The
 * bodies are without padding only where their kind tells how long they are: a host name ends at its first zero byte. */
bool cl_wire_extension(struct slice *rest, int *type, struct slice *body);

/* Record i of handover.records. */
void cl_wire_record(const struct cl_message *m, size_t i, struct cl_record *out);
bool cl_wire_state(struct slice body, struct cl_state_told *out); /* false: too short */
/* Who supervises the sender: generation, version of the list, the list (empty: nobody). false: too short. */
bool cl_wire_supervised(struct slice body, uint64_t *generation, uint64_t *version, struct slice *list);

/* Writing: begin, then entries, then extensions, then end. The head's gossip and extensions are counted by these
 * functions, whatever it says. */
void cl_wire_begin(struct buf *out, const struct cl_header *head);
void cl_wire_put_gossip(struct buf *out, const struct cl_gossip *g);
void cl_wire_put_extension(struct buf *out, enum cl_extension type, struct slice body); /* text gets its zero byte */
void cl_wire_end(struct buf *out);
void cl_wire_fail(struct buf *out, const struct cl_header *head, const struct cl_id *node);
void cl_wire_update(struct buf *out, const struct cl_header *head, uint64_t epoch, const struct cl_id *node,
                    const uint8_t *slots);
void cl_wire_put_state(struct buf *out, const struct cl_state_told *t);
void cl_wire_put_supervised(struct buf *out, uint64_t generation, uint64_t version, struct slice list);
void cl_wire_handover(struct buf *out, const struct cl_header *head, const struct cl_handover *h,
                      const struct cl_record *records);
void cl_wire_publish(struct buf *out, const struct cl_header *head, struct slice channel, struct slice payload);

const char *cl_wire_type_name(enum cl_type type); /* as INFO has it: "ping", "auth-req" ... */

#endif
