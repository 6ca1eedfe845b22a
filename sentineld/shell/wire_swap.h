/* What supervisors say to each other about swaps of databases (core/swap.h), as it stands on the wire.
 *
 *   SENTINEL MAPPING <own id> <current epoch> <cluster> STAND|ACCEPT|TELL <list> <ballot> <config epoch> <record>
 *   -> [id, current epoch, cluster, verb, list, ballot, yes 0|1, record]
 *
 * list is the version of the list of supervisors. A record is numbers with commas between them: promised, accepted,
 * value (0 none, 1 begun, 2 commit, 3 abort), decided; version, begun, a and b of its step; the same of the step
 * before; the request; and behind these the id of the master that asked for it, or "-". */
#ifndef SHELL_WIRE_SWAP_H
#define SHELL_WIRE_SWAP_H

#include "sentineld/shell/wire.h"

void wire_swap_request(struct wire_request *q, const char *id, uint64_t epoch, const char *fleet,
                       const struct sn_swap_word *w);

struct wire_swap {
    runid id;
    uint64_t epoch;
    struct slice fleet; /* of the request or the reply */
    struct sn_swap_word word;
};

/* argv[0] is the asker's id: the words behind SENTINEL MAPPING. NULL, or what is wrong. */
const char *wire_swap_decode(const struct slice *argv, size_t argc, struct wire_swap *out);
void wire_swap_reply(struct reply *r, const char *id, uint64_t epoch, const char *fleet, const struct sn_swap_word *w);
/* false: an error reply or one of another shape. */
bool wire_swap_answer(const redisReply *reply, struct wire_swap *out);

#endif
