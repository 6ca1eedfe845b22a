/* Times on the command line: "500ms", "2s", "90" (seconds), "10m", "2h", "7d". */
#ifndef NODECTL_DURATION_H
#define NODECTL_DURATION_H

#include <stdbool.h>
#include <stdint.h>

/* false: it is none, or not within min_ms..max_ms; *ms is unchanged then. */
bool duration_parse(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ms);

#endif
