/* What SCAN, HSCAN, SSCAN and ZSCAN have in common: cursor, options, and the shape of the answer. */
#ifndef CMD_SCAN_H
#define CMD_SCAN_H

#include "noded/cmd/call.h"

struct nd_scan {
    uint64_t cursor;
    int64_t count; /* 1 or more; 10 unless told */
    bool match;    /* only what fits the pattern is shown (text_glob, case matters) */
    struct slice pattern;
    bool typed;        /* SCAN ... TYPE */
    enum nd_type type; /* ND_TYPES: no type of ours, nothing fits */
};

/* Reads the cursor at argument `first` and the options behind it. TYPE is SCAN's alone (first == 1). false: the error
 * was answered. */
bool nd_scan_args(struct nd_call *c, size_t first, struct nd_scan *out);

/* The beginning of HSCAN, SSCAN and ZSCAN (key, cursor, options) in the order in which Redis looks at them: cursor,
 * key, options. false: all is answered (an error, or nothing found because there is no key). */
bool nd_scan_open(struct nd_call *c, enum nd_type type, struct nd_scan *out, struct nd_entry **e);

/* The element is wanted. */
bool nd_scan_fits(const struct nd_scan *s, struct slice element);

/* The answer [cursor, [elements]]: elements are written through found->r as they come, each reply counted in found->n;
 * the cursor is known at last. */
struct nd_scan_found {
    struct reply r;
    struct buf buf;
    size_t n;
};
void nd_scan_begin(struct nd_call *c, struct nd_scan_found *found);
void nd_scan_put(struct nd_scan_found *found, struct slice element); /* as a bulk, and counted */
void nd_scan_end(struct nd_call *c, struct nd_scan_found *found, uint64_t cursor);

#endif
