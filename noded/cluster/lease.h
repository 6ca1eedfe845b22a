/* Leases: the node's half of SAFETY, sections 1 to 3.
 *
 * A node is supervised when it knows a list of supervisors (the membership) that it counts. From then on it takes
 * writes only while grants from a majority of that list are unexpired, whatever its own view of the cluster is, and
 * it neither stands for election nor gives votes: whoever is to be a master is told so (TAKEOVER EPOCH).
 *
 *   not supervised --- grants of a majority (a replica: words of a majority, or its master's word) ---> supervised
 *   supervised --- CLUSTER RELEASE ---> not supervised
 *
 * Both are durable before they count. A generation counts these changes, so that replicas know which word of their
 * master is the newer one; they inherit the membership with it (CL_EXT_SUPERVISED). A master that hears a generation
 * that is not below its own from a replica which counts something else goes above it: the master's word holds.
 *
 * One version of the list counts. The node moves to a higher one that it has heard of from a majority of the old
 * list (by address), and in the last 5 s from one of the new list; a master not before both majorities grant under
 * the new one, so that nothing is refused meanwhile, and so that another node which has its lease of the old list
 * alone has none any more. A master without a lease may also wait until all has ended that a majority of the old
 * list can have granted before it spoke under the new one: twice the longest grant heard of, 5 s at least.
 *
 * Time here is the node's boot clock (cl_facts.boot_us), which counts suspended time. A stamp is the node's
 * incarnation (drawn when the process starts) and that clock; each answer to a supervisor carries one, and a grant
 * echoes the newest that the supervisor has. It ends at stamp + ttl x 0.99, so that one that waited in a socket
 * revives nothing; a stamp of another incarnation, or of a time to come, grants nothing. A vote's grant may begin
 * later (`wait_ms` after its stamp, x 1.01), when what the voter granted to another node of the shard has ended.
 * What was taken back or returned does not come back by a message that was on its way meanwhile: stamps up to then
 * are void. */
#ifndef CLUSTER_LEASE_H
#define CLUSTER_LEASE_H

#include "noded/cluster/core.h"

#define CL_SUPERVISORS_MAX 31
#define CL_SUPERVISORS_TEXT 1200 /* bytes of the longest list */
#define CL_LEASE_MS_MAX (INT64_C(3600) * 1000)

/* Who speaks, as a request names it: `<version>:<position>:<address>,<address>,...`. The position is the sender's place
 * in the list, from 0: a supervisor that lost its id is still the same member. */
struct cl_speaker {
    uint64_t version;  /* of the list, 1 or more */
    int position;      /* whether the list has it the core looks */
    struct slice list; /* 1 to CL_SUPERVISORS_MAX different addresses, of letters, digits and . : - _ [ ] % */
};
/* false: it is none. */
bool cl_speaker_parse(struct slice text, struct cl_speaker *out);

struct cl_stamp {
    uint64_t incarnation; /* 0: none is known */
    int64_t clock_us;
};
bool cl_stamp_parse(struct slice incarnation, struct slice clock_us,
                    struct cl_stamp *out); /* the first in hexadecimal */

struct cl_grant {
    int position;
    struct cl_stamp stamp;
    int64_t ttl_ms, wait_ms; /* both from the stamp on */
};
/* `<position>/<incarnation>/<clock-us>/<ttl-ms>/<wait-ms>`, the incarnation in hexadecimal. */
bool cl_grant_parse(struct slice text, struct cl_grant *out);

/* CLUSTER LEASE. */
struct cl_lease_ask {
    struct cl_id supervisor; /* shown; never counted by */
    struct cl_speaker speaker;
    int64_t ttl_ms;        /* 0: no grant, and an earlier one of this supervisor is taken back, also one that has not
                              begun yet. More, without a stamp: neither the one nor the other. */
    uint64_t epoch;        /* of the shard, as the supervisors decided it; 0: nothing was decided yet. Above that of the
                              node it grants nothing: another life of it is meant, or a ballot whose TAKEOVER has not
                              come. */
    struct cl_stamp stamp; /* the newest that it has of this node */
    bool give_back;        /* CLUSTER LEASE RETURN: the node drops all grants, and takes none below `epoch` any more */
};

/* CLUSTER FAILOVER TAKEOVER EPOCH (SAFETY E6). */
struct cl_takeover {
    uint64_t epoch;
    const struct cl_id *from; /* the shard's lineage, the newest first; 1 or more */
    size_t nfrom;
    const struct cl_speaker *speaker; /* of the grants; NULL: there are none */
    const struct cl_grant *grants;    /* at `epoch` */
    size_t ngrants;
    bool force; /* an operator's word: what it may not know or have does not matter */
};

/* What CLUSTER LEASE and CLUSTER INFO tell. All of it is on disk. */
struct cl_lease_state {
    bool supervised; /* leases decide whether writes are taken; the state of the cluster is "fail" without one */
    uint64_t incarnation, generation, version;
    uint64_t config_epoch, current_epoch; /* of this node: a replica's config_epoch is that of its master */
    uint64_t wants_epoch;    /* the lowest config epoch that it needs, and waits for a ballot to give it; 0 none */
    int supervisors, needed; /* declared; a majority of them */
    int grants;              /* unexpired, and begun */
    int64_t until_us;        /* boot clock: writes are executed before it. INT64_MAX: not supervised; 0: no lease */
};
void cl_lease_state(const struct cl_core *c, int64_t boot_us, struct cl_lease_state *out);
struct slice cl_lease_list(
    const struct cl_core *c); /* the list it counts; empty: not supervised. Until the next step */

/* As until_us above, by what the last step knew: the check at each write. It may only become earlier by another step.
 */
int64_t cl_lease_until(const struct cl_core *c);

#endif
