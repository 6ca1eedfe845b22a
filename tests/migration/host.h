/* Migrations of slots, as the simulators of the bus and of whole fleets have them in common: the links of the data
 * sides (link.c), the rules H1 to H4 of SAFETY, section 5, looked at from outside (rules.c), and what a nodes.conf says
 * (durable.c). What lies around them each simulator has in its own way: that is in the second half, and each defines it
 * for itself. */
#ifndef MIGRATION_HOST_H
#define MIGRATION_HOST_H

#include "common/base/rng.h"
#include "noded/cluster/core.h"
#include "tests/virtual/time.h"

#define WATCHED 48 /* slots, at most, that are written, moved and looked at after every step */
#define WRITES_MAX 4096
#define WRITES_WORDS (WRITES_MAX / 64)
#define PARTIES_MAX 128 /* nodes */
#define IDS_MAX (PARTIES_MAX * 2)

struct world;
struct node;

/* ---- what both have ---- */

struct write {
    int slot; /* index of the watched one */
    int database;
    int node;
    int64_t at_us;
};

/* Writes to watched slots that were acknowledged. */
struct ledger {
    int watched[WATCHED];
    int nwatched;
    size_t n;
    struct write *writes;     /* WRITES_MAX */
    int64_t excused[WATCHED]; /* when writes of a slot may have been lost last, and not by a migration; 0 never */
};

/* What a node holds of them. */
struct dataset {
    uint64_t has[WRITES_WORDS];
    uint64_t shadow[WRITES_WORDS]; /* imported, and seen by nobody yet */
    uint64_t mapping;              /* epoch of the mapping of databases */
    int64_t offset;                /* of the replication stream */
};

#define DURABLE_RECORDS 32

struct durable_record { /* of a hand-over */
    struct cl_id job;
    uint64_t epoch;
    bool taking;
};

/* What a nodes.conf says of its own node. */
struct durable {
    struct cl_id id, master;
    bool replica;
    uint64_t config_epoch, current_epoch, last_vote_epoch;
    uint8_t slots[CL_SLOT_BYTES];
    uint64_t state_version, refused_epoch, swap_epoch;
    bool swap_aborted;
    struct durable_record records[DURABLE_RECORDS];
    size_t nrecords;
};

/*        name            of the migrations */
#define MIGRATION_COUNTS(X) \
    X(JOBS)                 \
    X(GRANTS)               \
    X(LATE)                 \
    X(TRIED_AGAIN)          \
    X(JOBS_DONE)            \
    X(JOBS_ENDED)           \
    X(TAKEN)                \
    X(RESUMED)              \
    X(INHERITED)            \
    X(DISTURBED)            \
    X(STALE)

struct transfer;
struct parcel;
struct handovers;

struct migrations {
    struct ledger ledger;
    struct transfer **transfers; /* links, kept until the end */
    struct parcel **parcels;     /* that were sent on them */
    size_t ntransfers, cap_transfers, nparcels, cap_parcels;
    struct handovers *handovers;
    int64_t sync_us; /* the longest synchronisation takes so long, and a snapshot half of that */
    int64_t late_us; /* and a grant that is lost on its way */
    bool volatile_data;
    /* The scenarios' eye. */
    void (*drains)(struct world *w, struct node *source, struct node *target);
    void (*grants)(struct world *w, struct node *source, struct node *target);
    int64_t grant_late_us; /* every grant takes so much longer */
};

/* durable.c */
bool durable_read(struct slice text, struct durable *out); /* false: says nothing of its own node */

/* link.c: the data sides of migrations, and the link of each */
void jobs_export(struct world *w, struct node *n, const struct cl_effect *e);
void jobs_drain(struct world *w, struct node *n, const struct cl_effect *e);
void jobs_resume(struct world *w, struct node *n, const struct cl_effect *e);
void jobs_grant(struct world *w, struct node *n, const struct cl_effect *e);
void jobs_accept(struct world *w, struct node *n, const struct cl_effect *e);
void jobs_stop(struct world *w, struct node *n, const struct cl_effect *e);
void jobs_show(struct world *w, struct node *n, const uint8_t *slots, bool show); /* else forget */
void jobs_written(struct world *w, struct node *n, size_t write);                 /* a client's write was executed */
void jobs_upset(struct world *w, struct node *n, const char *why, bool all); /* jobs of its data side end; all: those
                                                                                too that are granted */
void jobs_died(struct world *w, struct node *n, bool host);
void jobs_end(struct world *w);

/* rules.c: rules H1 to H3 */
void handover_init(struct world *w);
void handover_free(struct world *w);
void handover_granted(struct world *w, struct node *n, const struct cl_effect *e, const uint8_t *slots,
                      const struct cl_id *target);
void handover_drained(struct world *w, const struct cl_id *job, const struct node *target);
void handover_shown(struct world *w, struct node *n, const uint8_t *slots);
void handover_look(struct world *w, struct node *n);                                  /* after each step */
void handover_commanded(struct world *w, struct node *n, const struct cl_command *c); /* by an operator, not refused */
void handover_forced(struct world *w, struct node *n); /* a promotion that an operator has ordered, and that it took */
void handover_succeeds(struct world *w, struct node *n, const struct cl_id *master, bool elected);
void handover_persisted(struct world *w, const struct node *n);
void handover_given(struct world *w, const struct node *n, const uint8_t *slots); /* NULL: all that it has */
void handover_wiped(struct world *w, const struct node *n);
/* It would stand for election if its master were gone now. */
bool may_succeed(const struct world *w, const struct node *r, const struct node *master);

/* ---- what each defines for itself ---- */

struct migrations *world_migrations(const struct world *w);
static inline struct ledger *ledger(const struct world *w)
{
    return &world_migrations(w)->ledger;
}
struct timeline *world_time(const struct world *w);
struct rng *world_rng(const struct world *w);
int world_nodes(const struct world *w);
struct node *world_node(const struct world *w, int index);
bool world_is_over(const struct world *w); /* a rule broke */
bool world_is_recorded(const struct world *w);
bool world_is_cut(const struct world *w, int from, int to); /* between two nodes, one way */
int64_t world_delay(struct world *w);                       /* of a message, drawn */
enum migration_count {
#define X(name) MIGRATION_##name,
    MIGRATION_COUNTS(X)
#undef X
};
void world_counts(struct world *w, enum migration_count what);
void violated(struct world *w, const char *rule, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void record_line(struct world *w, const char *who, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
const char *node_name(int index); /* in one of a few static buffers, and so is the next */
const char *id_name(struct world *w, const struct cl_id *id);

#define NOTE(w, ...)                     \
    do {                                 \
        if (world_is_recorded(w))        \
            record_line(w, __VA_ARGS__); \
    } while (0)

int party_index(const struct node *n);
struct cl_core *party_core(const struct node *n);   /* NULL: it does not run */
const struct cl_id *party_id(const struct node *n); /* of this life, or of the last one */
unsigned party_life(const struct node *n);
bool party_stopped(const struct node *n);
bool party_off(const struct node *n); /* its machine is: nobody even refuses */
struct inbox *party_inbox(struct node *n);
int64_t party_clock(const struct world *w, const struct node *n);
struct dataset *party_dataset(const struct node *n);
int party_follows(const struct node *n);  /* index of its data side's master; -1: it is one itself */
bool party_streams(const struct node *n); /* its master's stream is up */
const struct durable *party_says(const struct node *n);
bool party_disk_full(const struct node *n);
bool party_is_stale(const struct world *w, const struct node *n);      /* it may not have heard that it was replaced */
struct node *party_at(struct world *w, const char *ip, uint16_t port); /* of clients; NULL: nobody */
void party_flushes(struct node *n);                                    /* what it has outlives a crash */

void node_step(struct world *w, struct node *n, struct cl_event *e);
int check_id(struct world *w, const struct cl_id *id); /* the number of an id; -1: never seen */
/* Something that the loss of acknowledged writes of a slot may come from, other than a migration. */
void data_excuse(struct world *w, int watched);
bool data_has_slot(const struct world *w, const struct node *n, int watched);
/* Whether a request that writes there would be executed now. */
bool client_may_write(const struct world *w, const struct node *n, int watched);
void fault_at_grant(struct world *w, const struct node *source, const struct node *target);

#endif
