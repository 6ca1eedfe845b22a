/* What supervisors tell of the past: answers of SENTINEL EVENTS and SENTINEL HISTORY as jansson values. */
#ifndef NODECTL_PAST_H
#define NODECTL_PAST_H

#include "common/base/bytes.h"

#include <hiredis/hiredis.h>
#include <jansson.h>

/* The answer of SENTINEL HISTORY or EVENTS as an array of objects: number, wall_ms, group, and name and text of an
 * event, or kind, epoch and `note` (an object) of a note. NULL: it is an error, or no such answer. */
json_t *past_notes(const redisReply *r);
json_t *past_events(const redisReply *r);

/* "2026-11-21 20:56:00.123", local time. */
#define WALL_TEXT_MAX 40
const char *wall_text(int64_t wall_ms, char text[WALL_TEXT_MAX]);

/* The time of day alone, "18:30:05", or "-". */
const char *clock_text(int64_t wall_ms, char text[WALL_TEXT_MAX]);

/* A member of an object of any type. */
int64_t json_int(const json_t *o, const char *name, int64_t absent);
const char *json_word(const json_t *o, const char *name); /* "" when absent */
bool json_yes(const json_t *o, const char *name);

#endif
