/* MIGRATE: keys go to another server and are deleted here once it has them.
 *
 * The loop goes on meanwhile: the command makes the requests for the other server, locks the keys (pause.h), blocks its
 * session (block.h) and hands the rest to host->migrate. What comes of it is told by the functions below, in a later
 * step of the loop; the session may be gone by then, and the migration ends as properly as with it. */
#ifndef CMD_MIGRATE_H
#define CMD_MIGRATE_H

#include "noded/cluster/id.h"
#include "noded/cmd/engine.h"

struct nd_migration;

/* What is to be sent where. It lives until nd_migrate_ended(). */
struct nd_migrate_spec {
    struct nd_migration *migration;
    const char *host; /* name or IP literal */
    int port;         /* 1-65535 */
    int64_t db;       /* to be selected there before the requests are sent */
    /* CLUSTER DBMAP FROM: whose number that is, and of which mapping of databases; node[0] '\0': not said */
    char node[CL_ID_DIGITS + 1];
    uint64_t mapping_epoch;
    int64_t timeout_ms;          /* the longest that the other side may be silent; > 0 */
    struct slice user, password; /* password.p NULL: no AUTH; user.p NULL: AUTH with the password alone */
    struct slice requests;       /* RESTORE commands as they are sent, */
    size_t count;                /* and how many: each is answered by one line */
};

enum nd_migrate_end {
    ND_MIGRATE_DONE,       /* every request was answered, or the other side refused AUTH or SELECT */
    ND_MIGRATE_NO_CONNECT, /* no address, or no connection within the time */
    ND_MIGRATE_NO_WRITE,   /* refused, or it took no more */
    ND_MIGRATE_NO_READ     /* an answer did not come, or was none of the protocol's */
};

/* The next request was answered, in order: without error (error.p NULL) or with it ("ERR text", no sign before it). */
void nd_migrate_answered(struct nd_migration *m, struct slice error);
/* AUTH or SELECT was answered with this error: nothing was sent. */
void nd_migrate_refused(struct nd_migration *m, struct slice error);
/* The end: what the other side took is deleted here, the client has its answer, who waited for the keys goes on. The
 * spec is freed. Not from inside of host->migrate. */
void nd_migrate_ended(struct nd_migration *m, enum nd_migrate_end end);

/* The dataset becomes another's (its master's), or its databases others: what is under way deletes no keys of it,
 * whatever the other side took. why: what its clients are told, static text; NULL: that this is no master any more. */
void nd_migrations_disown(struct nd_engine *e, const char *why);
/* Some is under way that will delete its keys. */
bool nd_migrations_move(const struct nd_engine *e);

/* The engine goes away. */
void nd_migrations_free(struct nd_engine *e);

#endif
