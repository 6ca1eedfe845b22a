/* What is stored about options, in memory: those that were changed at run time, and what the configuration file says of
 * each. Kept in step with the disk: a change is seen here when it is durable. */
#ifndef SHELL_OVERRIDES_H
#define SHELL_OVERRIDES_H

#include "sentineld/shell/state_image.h"

struct overrides;

struct overrides *overrides_new(const struct state_image *image); /* copies what it needs */
void overrides_free(struct overrides *o);                         /* NULL is allowed */

/* The records of one PERSIST: kept until it is known how it ended. */
void overrides_queue(struct overrides *o, uint64_t seq, const struct sn_record *records, size_t n);
/* All up to seq are on disk (ok), or none after the last success up to seq is. */
void overrides_settle(struct overrides *o, uint64_t seq, bool ok);

const struct state_options *overrides_options(const struct overrides *o); /* changed at run time */
const struct state_options *overrides_file(const struct overrides *o);    /* what the file says */

/* Whether its value may not be shown. */
bool overrides_secret(const char *option);

#endif
