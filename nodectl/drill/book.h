/* What canaries wrote and saw: a lane is one key in one database, with a writer that appends numbers and readers that
 * look at the last one. Every number is sent once; a number that was acknowledged must be there at the end. Pure: times
 * are given, in microseconds of one clock. */
#ifndef NODECTL_DRILL_BOOK_H
#define NODECTL_DRILL_BOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Silences are kept apart by what the drill was doing when they ended. */
enum drill_phase {
    DRILL_BEFORE,  /* nothing is done yet */
    DRILL_HARM,    /* from the harm on, until all is well again */
    DRILL_RESTORE, /* roles are switched back */
    DRILL_PHASES
};

struct lane_ack {
    int64_t number, at_us;
};

struct lane {
    int database;
    bool bystander; /* of another shard, which should notice nothing */
    char *key;      /* owned */
    int64_t sent;   /* the last number, from 1 */
    struct lane_ack *acked;
    size_t nacked, cap_acked;
    int64_t heard_us;                     /* the last acknowledgement, or the beginning */
    int64_t silence_us[DRILL_PHASES];     /* the longest */
    int64_t silent_from_us[DRILL_PHASES]; /* when that one began */
    int64_t refused;                      /* writes answered with an error */
    int64_t unanswered;                   /* writes of which nobody knows */
    int64_t redirects;
    int64_t reads, read_errors;
    int64_t seen;             /* the number that was read last */
    int64_t stale, stale_us;  /* reads older than the bound, and by how much the worst one was */
    int64_t lost, first_lost; /* after lane_settle(): acknowledged and gone; the first such number, or 0 */
    int64_t settled_rows;     /* -1: nobody could be asked */
};

void lane_init(struct lane *l, const char *key, int database, bool bystander, int64_t now_us);
void lane_free(struct lane *l);

int64_t lane_send(struct lane *l);                                                   /* the number to be written */
void lane_ack(struct lane *l, int64_t number, enum drill_phase now, int64_t now_us); /* numbers rise */
/* The longest silence up to now, also one that lasts. */
int64_t lane_silence_us(const struct lane *l, enum drill_phase now, int64_t now_us);
/* Another phase begins: a silence that lasts counts in both, in the next one as a whole. */
void lane_turn(struct lane *l, enum drill_phase before, int64_t now_us);
/* The end: a silence that lasts counts. */
void lane_close(struct lane *l, enum drill_phase now, int64_t now_us);

/* A read, sent at sent_us, gave this number (0: the key is not there). Older than what was acknowledged bound_us before
 * it was sent: stale. Returns by how much it was older than what it should have given, in microseconds; 0: not. */
int64_t lane_read(struct lane *l, int64_t number, int64_t sent_us, int64_t bound_us);

/* All that is there at the end, in any order. */
void lane_settle(struct lane *l, const int64_t *numbers, size_t count);

#endif
