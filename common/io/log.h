/* The program's log: one file or standard error, lines in the shape that Redis and Sentinel write:
 *     1234:X 21 Nov 2026 20:56:00.123 # +switch-master mymaster ...
 *
 * In systemd's journal a line has the priority debug, info, notice or warning.
 *
 * A log never stops the program. A line that cannot be written at once (disk full, reader of a pipe stopped) is dropped
 * and counted; when writing works again a line says how many were lost. */
#ifndef IO_LOG_H
#define IO_LOG_H

#include "common/base/bytes.h"

enum io_log_level { IO_DEBUG, IO_VERBOSE, IO_NOTICE, IO_WARNING }; /* marks: . - * # */

/* The letter behind the process's number: X is a Sentinel's, and what there is when nothing is said; M a master's. */
void io_log_set_role(char role);

/* Before io_log_open() lines of level notice and above go to standard error. */

/* file: absolute path, or "" for standard error. It is opened for appending and created with mode 0640. false: it
 * cannot be opened; the reason is appended to error, and the log goes where it went before. */
bool io_log_open(const char *file, enum io_log_level level, struct buf *error);
/* Opens the file's name again, after log rotation moved the old one away. When that fails the old one is kept and told
 * so. */
void io_log_reopen(void);
void io_log_close(void);

void io_log_set_level(enum io_log_level level);
enum io_log_level io_log_level(void);
bool io_log_level_parse(struct slice name, enum io_log_level *out); /* debug, verbose, notice, warning */
const char *io_log_level_name(enum io_log_level level);

/* One line; control bytes in it become spaces, so that nothing from outside can forge a line. Cut at 4,000 bytes. */
void io_log(enum io_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
