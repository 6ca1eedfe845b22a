/* The supervisor's half of SAFETY, sections 1 and 3 (L1-L3, E4, E5): what it has granted in one shard, and what it may.
 *
 * There is one grantee at a time. A vote or a newer configuration names another one; what that gets begins when the
 * last grant of the former one has ended (`wait`), so that this supervisor never has unexpired grants out to two nodes.
 * The grantee and the longest time ever granted are durable before the first grant to it is told: after a restart the
 * same node may be renewed at once, another one only when that time has passed.
 *
 * Times are this supervisor's clock, which counts suspended time. Clocks of nodes may run faster or slower by 1 %: a
 * grant ends here at the time of its sending + ttl x 1.01, there at the stamp that it echoes + ttl x 0.99. */
#ifndef CORE_LEASE_H
#define CORE_LEASE_H

#include "common/base/runid.h"
#include "sentineld/core/lease_told.h"

#include <stdbool.h>
#include <stdint.h>

/* The newest stamp that was heard of a node. */
struct sn_stamp {
    uint64_t incarnation; /* 0: none was heard */
    int64_t clock_us;     /* the node's */
    int64_t asked_us;     /* ours: when the request was sent that it came with. It was made no earlier. */
};

/* All zero: nothing was granted yet, to nobody. */
struct sn_lease {
    runid grantee;      /* node id */
    int64_t max_ttl_us; /* the longest that was ever granted in this shard */
    int64_t end_us;     /* of the grantee's last grant */
    int64_t old_end_us; /* of the last grant to whoever was grantee before; 0: nobody was */
    runid former;       /* who that was; "": several, or forgotten */
    bool settled;       /* that time has passed, so nothing hinders the grantee. Durable with it. */
};

/* What a node is given: from its stamp on, in its own clock. */
struct sn_grant {
    struct sn_stamp stamp;
    int64_t ttl_us, wait_us;
};

/* From the state, when the process starts: a grant of the former life may have been sent in its last moment. */
void sn_lease_restore(struct sn_lease *l, const char *grantee, int64_t max_ttl_us, bool settled, int64_t now_us);

/* The node named becomes the grantee (a vote, or the first grant of a shard that is adopted). Nothing happens when it
 * is already. Returns true when that, or the longest time, has to be made durable before such a grant is told. */
bool sn_lease_name(struct sn_lease *l, const char *node, int64_t ttl_us, int64_t now_us);

/* A grant to `node`, sent now. false: it is not the grantee, or no stamp of it is known: it gets none. `wait_us` is 0
 * unless a former grantee's grant is still out. */
bool sn_lease_grant(struct sn_lease *l, const char *node, const struct sn_stamp *stamp, int64_t ttl_us, int64_t now_us,
                    struct sn_grant *out);

/* Once after each change of the grantee it becomes settled: true, and this is worth to be made durable (not at once: it
 * only spares a restart the wait). */
bool sn_lease_settle(struct sn_lease *l, int64_t now_us);

/* The grant to the grantee came to nobody (E7): it is taken back, and whoever had been grantee before is so again, as
 * if nobody else had been named. True: this has to be made durable. */
bool sn_lease_unname(struct sn_lease *l, int64_t now_us);

/* `node` has given its grants back (E9), or this supervisor took them back and the node said so: nothing is out to it.
 */
void sn_lease_returned(struct sn_lease *l, const char *node, int64_t now_us);

/* `<position>/<incarnation>/<clock-us>/<ttl-ms>/<wait-ms>`, as a node reads it in a TAKEOVER: position is this
 * supervisor's. What lasts is told shorter, what has to be waited for longer. */
void sn_grant_text(char out[SN_GRANT_TEXT], int position, const struct sn_grant *g);

/* Until when grants are out to nodes other than `node`; a time that has passed: none are. */
int64_t sn_lease_others_until(const struct sn_lease *l, const char *node);

#endif
