/* A master with a program that does nothing by itself: the test is the child, the sockets and the replicas. */
#ifndef UNIT_SERVE_WORLD_H
#define UNIT_SERVE_WORLD_H

#include "noded/repl/persist.h"
#include "noded/repl/serve.h"
#include "tests/unit/cmd/engine_fixture.h"

#define FDS_MAX 64

struct world {
    struct fixture *f;
    struct nd_repl *r;
    struct nd_serving *v;
    struct nd_persist *p;
    /* What the child was told. */
    bool child, stopped, refuse;
    char *path, *head, *tail;
    int fds[FDS_MAX];
    size_t fd_count;
    /* What was asked for a replica's socket. */
    struct nd_session *file_for[FDS_MAX];
    size_t files, removed;
    bool stuck; /* nothing can be sent */
    size_t saves;
    bool placed; /* the last file that was saved says where in the history it is */
};

struct world *world_new(void);
void world_free(struct world *w);
void world_turn(struct world *w);
void world_forward_ms(struct world *w, int64_t ms);
/* The child ends; got NULL: every replica got all. */
void world_child_ends(struct world *w, bool ok, const bool *got);
const char *world_info(struct world *w, const char *field); /* its line of INFO replication; "" none */

/* What a replica of today says first. */
#define MODERN "REPLCONF capa eof capa psync2 listening-port 7001"
struct client *replica_new(struct world *w, const char *capa); /* NULL: it says nothing */
struct client *replica_online(struct world *w);
void replica_acks(struct client *c, int64_t offset);
/* What the shell would send it now. */
void replica_reads(struct client *c, struct buf *out);
void replica_expects(struct client *c, const char *text);

#define SET_A "*3\r\n$3\r\nSET\r\n$1\r\na\r\n$1\r\n1\r\n"
#define SELECT_0 "*2\r\n$6\r\nSELECT\r\n$1\r\n0\r\n"

#endif
