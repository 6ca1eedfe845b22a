/* Points in time on the command line, in local time. */
#ifndef NODECTL_SHARD_AT_H
#define NODECTL_SHARD_AT_H

#include <stdbool.h>
#include <stdint.h>
#include <time.h>

/* "18:30" and "18:30:05" (today, or tomorrow when that is over), "2026-11-22 18:30[:05]" or with a T between the two,
 * and "+10m" (a time as in duration.h, from now). false: it is none of these, or it is over. */
bool at_parse(const char *text, time_t now, time_t *at);

/* "1:02:03", "2:03", and "1d 00:00:01"; at least 0. */
#define AT_LEFT_MAX 32
const char *at_left(int64_t seconds, char text[AT_LEFT_MAX]);

#endif
