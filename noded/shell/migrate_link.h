/* One connection to a server that takes keys. Inside noded/shell/migrate*.c. */
#ifndef SHELL_MIGRATE_LINK_H
#define SHELL_MIGRATE_LINK_H

#include "common/io/resolve.h"
#include "noded/cmd/migrate.h"

#include <ev.h>

enum migrate_state {
    MIGRATE_RESOLVING,
    MIGRATE_CONNECTING,
    MIGRATE_LOGIN,
    MIGRATE_SELECT,
    MIGRATE_SENDING, /* and reading the answers */
    MIGRATE_IDLE     /* kept for the next one */
};

struct migrate_link {
    struct migrator *m;
    struct migrate_link *next, *prev;
    const struct nd_migrate_spec *spec; /* NULL: idle */
    enum migrate_state state;
    char *host;
    int port;
    struct buf login; /* user, a zero byte, password: what the connection is logged in with */
    bool logged_in;
    bool reused;   /* it was kept: the other side may have closed it since */
    bool selected; /* db is */
    int64_t db;
    struct io_resolve *resolve;
    char ips[IO_RESOLVED_MAX][IO_IP_MAX];
    size_t ip_count, ip_next;
    int fd; /* -1: none */
    struct ev_io reader, writer;
    struct ev_timer timer;
    int64_t moved_us; /* when bytes went over it last */
    struct buf first; /* AUTH or SELECT */
    struct slice out; /* what is being sent: first, or the spec's requests */
    size_t sent, answered;
    struct buf in;
};

struct migrator {
    struct node *node;
    struct ev_loop *ev;
    struct io_resolver *resolver; /* NULL: not needed yet */
    struct migrate_link *busy, *idle;
    size_t idle_count;
};

/* migrate_link.c: connecting and talking. */
void migrate_link_begin(struct migrate_link *l); /* resolves, or goes on with the connection that it has */
void migrate_link_disconnect(struct migrate_link *l);

/* migrate.c */
void migrate_link_ended(struct migrate_link *l, enum nd_migrate_end end); /* may free the link */
void migrate_link_lost(struct migrate_link *l); /* the other side closed an idle one; frees it */
struct io_resolver *migrate_resolver(struct migrator *m);
/* Its login as kept in login. */
void migrate_login_text(const struct nd_migrate_spec *spec, struct buf *out);

#endif
