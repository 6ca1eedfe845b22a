/* Everything that the core wants done, in order. The shell does them one after the other; what it cannot do (a link
 * that is gone) it drops: the core learns of it by LINK_DOWN. Whatever depends on the disk comes out only after
 * PERSISTED, so the shell holds nothing back. Memory is the list's until cl_effects_clear(). */
#ifndef CLUSTER_EFFECT_H
#define CLUSTER_EFFECT_H

#include "noded/cluster/event.h"

enum cl_effect_kind {
    CL_FX_CONNECT,    /* link, ip, port (of the bus): LINK_UP or LINK_DOWN follows */
    CL_FX_DISCONNECT, /* link: close it, dropping what is not yet sent; no LINK_DOWN follows */
    CL_FX_SEND,       /* link, bytes: one whole message. Several links may share the bytes of one. */
    CL_FX_PERSIST,    /* seq, bytes: the whole nodes.conf. To be written beside, flushed, and renamed. PERSISTED or
                         PERSIST_FAILED must follow; at most one is under way. */
    CL_FX_FOLLOW,     /* node, ip, port (of clients; ip "" while unknown): the data side becomes its replica, or goes on
                         as one at the new address */
    CL_FX_PROMOTE,    /* the data side becomes a master and keeps its data */
    CL_FX_EMPTY,      /* all databases are emptied, and their mapping has epoch 0 again (RESET) */
    CL_FX_DROP_SLOTS, /* slots: their keys are deleted, here and on our replicas: others own them now */
    CL_FX_ANSWER, /* token, ok, bytes: the text of a status (+...) or of an error (-...), without sign and line end */
    CL_FX_STATE,  /* ok, bytes: why not. The cluster takes requests, or it does not. Redirects know it already. */
    CL_FX_PAUSE,  /* until_us: writes wait (manual failover), and no pings of the data side's own go to replicas, so
                     that the offset stands still */
    CL_FX_UNPAUSE,
    CL_FX_PUBLISH, /* channel, payload, shard: for subscribers here */
    /* Migrations (handover.h). Of a job of which the data side knows nothing any more nothing is to be done. */
    CL_FX_JOB_EXPORT, /* job, node, ip, port (of clients), slots: begins to send. JOB_IS_LOST when it cannot. */
    CL_FX_JOB_DRAIN,  /* job: writes of its slots wait; what was written before is sent, and the target asked to say
                         that it has it */
    CL_FX_JOB_RESUME, /* job: that takes too long: writes of its slots go on, and follow behind DRAIN. What DRAIN is
                         answered counts no more; NEAR may be told again. */
    CL_FX_JOB_GRANT,  /* job, seq: the epoch. Sent behind all else. */
    CL_FX_JOB_ACCEPT, /* job, ok, bytes: why not */
    CL_FX_JOB_STOP,   /* job, ok, bytes: why. It is over: the link is closed, the source tells the target why before. No
                         news of it is told any more. What was imported is shown or forgotten by its own effect. */
    CL_FX_SLOTS_SHOW, /* slots: what was imported of them becomes visible, here, on our replicas and in the log */
    CL_FX_SLOTS_FORGET, /* slots: what was imported of them is deleted in the same places. Most have nothing. */
    CL_FX_SLOT_KEYS,    /* node (who asks; may be ours), a: slot, token: CL_EV_SLOT_KEYS with the same three
                           follows */
    CL_FX_SWAPDB,       /* a, b, seq: the mapping's epoch, which is the next one: done, streamed and logged */
    CL_FX_LOG           /* level, bytes */
};

enum cl_level { CL_LOG_DEBUG, CL_LOG_VERBOSE, CL_LOG_NOTICE, CL_LOG_WARNING };

/* Bytes that may belong to several effects. */
struct cl_bytes;
struct slice cl_bytes_slice(const struct cl_bytes *b); /* NULL: empty */

struct cl_effect {
    enum cl_effect_kind kind;
    enum cl_level level;
    bool ok, shard;
    uint16_t port;
    cl_link link;
    cl_token token;
    uint64_t seq;
    int64_t until_us;
    int a, b;
    struct cl_id node, job;
    char ip[CL_IP_MAX];
    uint32_t channel_n;     /* PUBLISH: bytes holds the channel and then the payload */
    struct cl_bytes *bytes; /* slots: the bitmap */
};

struct cl_effects {
    struct cl_effect *v;
    size_t n, cap;
};

/* A zeroed list is an empty one. */
void cl_effects_clear(struct cl_effects *fx); /* frees what the effects hold; keeps the array */
void cl_effects_free(struct cl_effects *fx);

static inline struct slice cl_effect_text(const struct cl_effect *e)
{
    return cl_bytes_slice(e->bytes);
}

static inline const uint8_t *cl_effect_slots(const struct cl_effect *e)
{
    return (const uint8_t *)cl_bytes_slice(e->bytes).p;
}

static inline struct slice cl_effect_channel(const struct cl_effect *e)
{
    return (struct slice){cl_bytes_slice(e->bytes).p, e->channel_n};
}

static inline struct slice cl_effect_payload(const struct cl_effect *e)
{
    struct slice all = cl_bytes_slice(e->bytes);
    return (struct slice){all.p + e->channel_n, all.n - e->channel_n};
}

/* ---- for the core's own files: a new effect at the end ---- */
struct cl_bytes *cl_bytes_new(struct slice s); /* one reference, the caller's */
void cl_bytes_release(struct cl_bytes *b);     /* NULL is allowed */
struct cl_effect *cl_effect_add(struct cl_effects *fx, enum cl_effect_kind kind);
struct cl_effect *cl_effect_slots_add(struct cl_effects *fx, enum cl_effect_kind kind, const uint8_t *slots);
void cl_effect_send(struct cl_effects *fx, cl_link link, struct cl_bytes *b); /* takes a reference of its own */
void cl_effect_log(struct cl_effects *fx, enum cl_level level, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
void cl_effect_answer(struct cl_effects *fx, cl_token token, bool ok, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

#endif
