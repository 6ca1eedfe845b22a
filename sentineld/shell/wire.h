/* The questions between supervisors as they stand on the wire, both directions in one place: who asks builds the
 * request and reads the reply (links), who is asked reads the request and builds the reply (clients).
 *
 * Ours, any number of masters in one round trip:
 *   SENTINEL BALLOT <asker id> <asker's current epoch>
 *       (DOWN|UP|VOTE|CANCEL|RETURNED <down> <group> <master host> <master port> <epoch> <candidate host or "">
 *       <candidate port>)...      down: 0 or 1, and 2 more when an operator ordered it
 *   -> [id, current epoch, [[down 0|1, leader id or "*", leader epoch], ...]]   the opinions in the order asked; under
 *      leases a vote has a fourth word, what the voter grants to the candidate (core/lease.h)
 * Stock (reference section 5), one master:
 *   SENTINEL IS-MASTER-DOWN-BY-ADDR <host> <port> <epoch> <id that wants the vote, or "*">
 *   -> [down 0|1, leader id or "*", leader epoch] */
#ifndef SHELL_WIRE_H
#define SHELL_WIRE_H

#include <hiredis/hiredis.h>

#include "common/resp/reply.h"
#include "sentineld/core/event.h"

#define WIRE_BALLOTS_MAX \
    8192 /* in one request; more is an error, so that one request cannot hold the loop for long \
          */

/* ---- the asker's side ---- */

/* A request being put together. Zeroed is ready for use. Words are copied. */
struct wire_request {
    struct buf text;
    size_t *ends; /* of each word in text */
    size_t n, cap;
    struct slice *argv;
    size_t argv_cap;
};

void wire_word(struct wire_request *q, const char *word);
void wire_number(struct wire_request *q, int64_t number);
void wire_unsigned(struct wire_request *q, uint64_t number);
/* The words, q->n of them; valid until the next call with q. */
const struct slice *wire_argv(struct wire_request *q);
void wire_request_clear(struct wire_request *q); /* for the next one; keeps the memory */
void wire_request_free(struct wire_request *q);

void wire_ballot_request(struct wire_request *q, const char *id, uint64_t epoch, const struct sn_ballot *ballots,
                         size_t n);
/* The verb VOTE asks for the vote at the ballot's epoch in the name of id; every other verb asks for the opinion only
 * and carries our current epoch. */
void wire_ask_request(struct wire_request *q, const char *id, uint64_t epoch, const struct sn_ballot *ballot);

/* The answer of a supervisor. opinions have no group and no master: their order says which is meant. */
struct wire_answer {
    runid id; /* of the one that answered; "" in the stock form */
    uint64_t epoch;
    struct sn_opinion *opinions;
    size_t n;
};

/* false: an error reply or a reply of another shape (out is then empty). wire_answer_free() in both cases is allowed.
 */
bool wire_ballot_answer(const redisReply *reply, struct wire_answer *out);
bool wire_ask_answer(const redisReply *reply, struct wire_answer *out);
void wire_answer_free(struct wire_answer *a);

/* ---- the side that is asked ---- */

struct wire_ballots {
    runid id;       /* of the asker; "" when it said "*" (stock form only) */
    uint64_t epoch; /* its current epoch */
    struct sn_ballot *ballots;
    size_t n;
    char *names; /* the memory of the ballots' groups */
};

/* argv[0] is the asker's id: what follows SENTINEL BALLOT. No ballots at all is a valid request (the question whether
 * we are one of ours). Returns NULL, or what is wrong in words of an error reply without "-ERR "; out is then empty. */
const char *wire_ballot_decode(const struct slice *argv, size_t argc, struct wire_ballots *out);
/* argv[0] is the host: exactly the four words that follow SENTINEL IS-MASTER-DOWN-BY-ADDR. An id makes the verb VOTE,
 * "*" DOWN. */
const char *wire_ask_decode(const struct slice *argv, size_t argc, struct wire_ballots *out);
void wire_ballots_free(struct wire_ballots *b);

void wire_ballot_reply(struct reply *r, const char *id, uint64_t epoch, const struct sn_opinion *opinions, size_t n);
void wire_ask_reply(struct reply *r, const struct sn_opinion *opinion);

#endif
