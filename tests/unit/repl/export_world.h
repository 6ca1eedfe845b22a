/* A source of migrations with a program that does nothing by itself: the test is the targets and the child. */
#ifndef UNIT_EXPORT_WORLD_H
#define UNIT_EXPORT_WORLD_H

#include "noded/repl/export.h"
#include "noded/repl/persist.h"
#include "tests/unit/cmd/engine_fixture.h"

#define WIRES_MAX 8

/* The link of one job. */
struct wire {
    struct xworld *w;
    struct nd_export *x;
    char address[80];
    struct buf got;     /* what the target has read: requests, the child's too */
    struct buf waiting; /* sent while it was lent, or while it was stuck */
    size_t looked;      /* up to here the test has looked at got */
    bool lent, stuck, closed, gently;
};

struct xworld {
    struct fixture *f;
    struct nd_repl *r;
    struct nd_persist *p;
    struct wire wires[WIRES_MAX];
    size_t wire_count;
    bool no_address; /* connect fails */
    /* The child. */
    bool child, stopped, refuse;
    enum nd_child_kind kind;
    uint64_t child_keys, child_bytes;
    struct buf news; /* a line each: "<job's first digit> NAME seq why" */
};

struct xworld *xworld_new(void);
void xworld_free(struct xworld *w);
void xworld_forward_ms(struct xworld *w, int64_t ms); /* time goes on, and what is due is done */
/* The child ends, as it should or not. */
void xworld_child_ends(struct xworld *w, bool ok);
const char *xworld_news(struct xworld *w); /* since it was looked at last */

struct cl_id job_id(int n);
/* A job for the slots from..to, whose number is that of its wire. */
struct wire *xworld_begin(struct xworld *w, int from, int to);
/* The same, as far as `state`: "asking", "waiting" (for another child), "snapshot", "streaming". */
struct wire *xworld_begin_to(struct xworld *w, int from, int to, const char *state);
void wire_says(struct wire *l, const char *lines);
/* The requests that have come since it was looked at last, a line each. */
const char *wire_hears(struct wire *l);
int64_t wire_offset(const struct wire *l); /* bytes behind ESTABLISH that were sent */

#endif
