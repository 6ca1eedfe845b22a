/* nodectl config diff: what supervisors do otherwise than their configuration file says. */
#ifndef NODECTL_CONFIG_DIFF_H
#define NODECTL_CONFIG_DIFF_H

#include "sentineld/shell/config.h"

#include <jansson.h>

/* What one supervisor says. masters: SENTINEL MASTERS; globals: SENTINEL CONFIG GET; overrides: SENTINEL OVERRIDES,
 * NULL when it does not know that command. */
struct diff_view {
    const char *address;
    const json_t *masters, *globals, *overrides;
};

/* Appends an object for each difference to `rows`: supervisor, group ("" for its own options), option, file, running
 * (null where there is none), from ("run time", "file not read again", "fleet"). file NULL: only what was changed at
 * run time, against the file as the supervisor remembers it. Returns how many differ; a master that the fleet has moved
 * is listed and not counted. */
size_t config_diff(const struct sentineld_config *file, const struct diff_view *view, json_t *rows);

#endif
