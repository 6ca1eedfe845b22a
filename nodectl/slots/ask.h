/* Questions to nodes, many at once: each is put, fleet_run() sends all, and each has the place of its answer. */
#ifndef NODECTL_SLOTS_ASK_H
#define NODECTL_SLOTS_ASK_H

#include "nodectl/fleet.h"

/* A command line of our own words, split at spaces. Returns the place of its answer. */
size_t ask_words(struct fleet_member *m, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* The answer at that place since fleet_forget(); NULL: none, and m->error says why. */
const redisReply *ask_answer(const struct fleet_member *m, size_t place);
/* The same where an error is none of the answers that are looked for: NULL, and the reason is appended to why as
 * "host:port: reason". */
const redisReply *ask_good(const struct fleet_member *m, size_t place, struct buf *why);

#endif
