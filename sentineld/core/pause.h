/* Pauses: an operator has switched automatic failovers off, of one master, one cluster or all, until a time, for a
 * reason. A supervisor with a pause neither stands for an automatic failover nor votes for one, so a pause that a
 * majority was told keeps the master where it is. What an operator orders (SENTINEL FAILOVER) goes on, and so does
 * what changes no master: leases, ballots that confirm the incumbent, the end of a planned switch. */
#ifndef CORE_PAUSE_H
#define CORE_PAUSE_H

#include "common/base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SN_PAUSE_ALL "*"                  /* target: everything that is supervised */
#define SN_PAUSE_OPTION "failover-paused" /* the name of the OPTION record that has all of them */
#define SN_PAUSE_OWNER_MAX 64             /* bytes */
#define SN_PAUSE_REASON_MAX 256           /* bytes */
#define SN_PAUSE_MS_MAX (INT64_C(86400000) * 366)

struct sn_pause {
    char *target; /* a group's name, a cluster's, or SN_PAUSE_ALL; owned, as the next two */
    char *owner, *reason;
    int64_t until_us; /* by the core's clock: this is what counts while the process lives */
    int64_t until_ms; /* by the wall clock (since 1970): shown, stored, and counted over a restart */
};

/* At most one for each target. Zeroed is empty. */
struct sn_pauses {
    struct sn_pause *v;
    size_t n;
};

/* Words that can be stored and shown: 1 to `max` bytes, none of them a control character; without `blanks` no blank. */
bool sn_pause_word_ok(struct slice word, size_t max, bool blanks);

/* Replaces what there is for the same target. */
void sn_pauses_set(struct sn_pauses *p, struct slice target, struct slice owner, struct slice reason, int64_t until_us,
                   int64_t until_ms);
/* SN_PAUSE_ALL ends all of them. Returns how many ended. */
size_t sn_pauses_end(struct sn_pauses *p, struct slice target);
void sn_pauses_copy(struct sn_pauses *to, const struct sn_pauses *from); /* to: empty */
void sn_pauses_free(struct sn_pauses *p);

/* The one that holds for this group, and ends last; NULL: none does. fleet: the name of its cluster, or NULL. group
 * NULL: of the cluster as a whole. */
const struct sn_pause *sn_pauses_find(const struct sn_pauses *p, const char *group, const char *fleet, int64_t now_us);
/* The one with just this target, over or not; NULL: there is none. */
const struct sn_pause *sn_pauses_of(const struct sn_pauses *p, const char *target);

/* As it is stored: a line for each. */
void sn_pauses_write(const struct sn_pauses *p, struct buf *out);
/* false: the text is not one of those, and p is empty. What ended before wall_ms is left out. */
bool sn_pauses_read(struct sn_pauses *p, struct slice text, int64_t now_us, int64_t wall_ms);

#endif
