/* The fields of one map of a reply, counted while they are written. */
#ifndef SHELL_MAP_OUT_H
#define SHELL_MAP_OUT_H

#include "common/resp/reply.h"

struct map_out {
    struct reply *r;
    size_t mark, pairs;
};

struct map_out map_begin(struct reply *r);
void map_end(struct map_out *m);
void map_text(struct map_out *m, const char *field, const char *value);
void map_number(struct map_out *m, const char *field, int64_t value);
void map_field(struct map_out *m, const char *field); /* its value, one reply, is written by the caller */

#endif
