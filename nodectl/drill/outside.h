/* Commands of the system and of the operator that a drill runs. */
#ifndef NODECTL_DRILL_OUTSIDE_H
#define NODECTL_DRILL_OUTSIDE_H

#include "common/base/bytes.h"

/* Runs it to its end; argv[0] is searched for in PATH. env: "NAME=value" on top of our own, may be NULL. Its output and
 * errors are appended to output, up to 64 KiB. Returns its exit code, 128 + the signal that ended it, or -1: it could
 * not be started, or was killed after timeout_ms; then output says so. */
int outside_run(const char *const *argv, const char *const *env, int timeout_ms, struct buf *output);

#endif
