/* The process itself: folder, log, background, signals, the file with its number, what the service manager is told. */
#ifndef SHELL_PROCESS_H
#define SHELL_PROCESS_H

#include "noded/cmd/settings.h"

struct node;

/* With one of the descriptors 0-2 closed, the next file that is opened would get its number. */
bool process_fill_descriptors(void);
char *process_executable(void); /* path of the program; the caller frees; NULL unknown */

/* false: the reason is appended to error. The folder becomes an absolute path. */
bool process_enter_folder(struct nd_config *config, struct buf *error);
bool process_open_log(const struct nd_config *config, struct buf *error);
/* When daemonize says so: what returns is the child. The parent waits until the child is ready, and ends with its
 * success or failure. */
bool process_go_to_background(const struct nd_config *config, struct buf *error);

void process_write_pid(const struct nd_config *config);
void process_remove_pid(const struct nd_config *config);

/* SIGTERM and SIGINT end the loop, SIGHUP opens the log again. */
void process_watch_signals(struct node *n);
void process_unwatch_signals(struct node *n);

/* disable-thp: while a child process shares the memory each page that is written is copied, and a huge one takes long.
 */
void process_refuse_huge_pages(const struct nd_config *config);
/* Code and constants that only the start needed leave the memory of this process; what is needed comes back by itself.
 */
void process_forget_start(void);
void process_ready(void); /* to the service manager, and to the parent of a daemon */
void process_stopping(void);

#endif
