/* Everything that the core wants done, in order. The shell does them one after the other; where it cannot (a link that
 * is gone), it drops the effect: the core learns of it by LINK_DOWN. Whatever depends on the disk comes out of the core
 * only after PERSISTED, so the shell holds nothing back. An effect owns its memory until sn_effects_clear(). */
#ifndef CORE_EFFECT_H
#define CORE_EFFECT_H

#include "sentineld/core/event.h"
#include "sentineld/core/lease.h"
#include "sentineld/core/note.h"
#include "sentineld/core/record.h"

enum sn_level { SN_LOG_DEBUG, SN_LOG_VERBOSE, SN_LOG_NOTICE, SN_LOG_WARNING };

enum sn_effect_kind {
    SN_FX_CONNECT,    /* link, addr, subscribe (a subscription to SN_HELLO_CHANNEL), user, pass */
    SN_FX_DISCONNECT, /* link: close it; no LINK_DOWN follows */
    SN_FX_SEND,       /* link, command; HELLO: text. REPLICAOF: addr (host "" is NO ONE). FAILOVER: addr, number (ms).
                         ACCEPT: text (replication id). PAUSE: number (ms), flag (with WRITE). REPLICATE: text (node
                         id). FREEZE: text (node id), number (ms). NO_FAILOVER: flag (yes or no). LEASE: text
                         (speaker), number (us), epoch, stamp (none: nothing is granted). LEASE_RETURN: text
                         (speaker), epoch. RELEASE: text (speaker). GIVE_UP, TAKE_ON: text (cluster). TAKEOVER: epoch
                         (0: without leases), text (lineage), flag (an operator's word), argv (speaker, then grants).
                         DBMAP_*: argv (the words behind CLUSTER DBMAP). SWAP: text (own id), epoch (own current),
                         group (the cluster), swap. ASK, BALLOT: ballots, text (own id), epoch (own current). */
    SN_FX_PERSIST,    /* seq, records: all of it in one transaction; PERSISTED or PERSIST_FAILED must follow */
    SN_FX_PUBLISH, /* level, name (event), text (payload), group (tied to it) or NULL. Published unless level is DEBUG
                    */
    SN_FX_SCRIPT,  /* argv: a stock script; retries and limits are the shell's */
    SN_FX_ANSWER,  /* token, answer, number, text (full error line without '-') */
    SN_FX_ANSWER_BALLOTS, /* token, opinions in the order asked, text (own id), epoch (own current) */
    SN_FX_ANSWER_SWAP,    /* token, text (own id), epoch (own current), group (the cluster), swap */
    SN_FX_NOTE,           /* note, group: a decision with its inputs, for the history; nothing depends on it */
    SN_FX_VETO, /* group, epoch, text ("<group> <host> <port> <host> <port>": master and replica), number (ms): may this
                   failover go on? VERDICT is due within so many milliseconds; without it the attempt ends */
    SN_FX_EXIT, /* number: SIMULATE-FAILURE wants a crash, now, with this status */
};

enum sn_answer { SN_ANSWER_OK, SN_ANSWER_INT, SN_ANSWER_ERROR };

struct sn_effect {
    enum sn_effect_kind kind;
    sn_link link;
    sn_token token;
    enum sn_command command;
    enum sn_level level;
    enum sn_answer answer;
    bool subscribe, flag;
    uint64_t seq, epoch;
    int64_t number;
    struct sn_stamp stamp;
    const char *name;                 /* static text */
    char *text, *group, *user, *pass; /* owned, may be NULL */
    char **argv;                      /* owned, NULL-terminated */
    struct sn_ballot *ballots;        /* owned, their group too */
    struct sn_opinion *opinions;      /* owned, their group too */
    struct sn_record *records;        /* owned */
    struct sn_note *note;             /* owned */
    struct sn_swap_word *swap;        /* owned */
    size_t count;                     /* of ballots, opinions, records */
    struct addr addr;                 /* last: most have none, and it is as large as all the rest */
};

struct sn_effects {
    struct sn_effect *v;
    size_t n, cap;
};

void sn_swap_word_free(struct sn_swap_word *w); /* one that belongs to an effect; w may be NULL */
void sn_effects_clear(struct sn_effects *fx);   /* frees what the effects own; keeps the array */
void sn_effects_free(struct sn_effects *fx);
void sn_effect_free(struct sn_effect *e);

#endif
