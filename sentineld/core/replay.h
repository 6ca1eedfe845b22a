/* A recorded decision, decided again: what a STAND note and the note of its outcome say was known is put into a core
 * of its own, and the core is asked. Pure, like everything here; nodectl and the simulator call it.
 *
 * Compared are: that the master was not S_DOWN a microsecond too early, that it is S_DOWN and O_DOWN when it was, which
 * replica is named, that the votes elect or do not, and what configuration the promotion leads to. Not compared: when
 * the supervisors stood (rank and random waits), and answers of servers that no note holds. */
#ifndef CORE_REPLAY_H
#define CORE_REPLAY_H

#include "common/base/bytes.h"
#include "sentineld/core/note.h"

#define SN_REPLAY_CHECKS 8
#define SN_REPLAY_TEXT 320

struct sn_replay_check {
    const char *what; /* "S_DOWN" */
    char recorded[SN_REPLAY_TEXT], replayed[SN_REPLAY_TEXT];
    bool same;
};

struct sn_replay {
    struct sn_replay_check checks[SN_REPLAY_CHECKS];
    size_t n;
    bool same; /* all are */
};

/* stand: a STAND note. outcome: the WON or LOST note of the same ballot, or NULL. promoted: likewise. Notes may come
 * from outside. false: the record does not hold what a replay needs; why (static text) says what is missing. */
bool sn_replay(const struct sn_note *stand, const struct sn_note *outcome, const struct sn_note *promoted,
               struct sn_replay *r, const char **why);

#endif
