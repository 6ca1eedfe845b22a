/* SLOWLOG: the last commands that took long. */
#ifndef CMD_SLOWLOG_H
#define CMD_SLOWLOG_H

#include "noded/cmd/call.h"
#include "noded/cmd/engine.h"

struct nd_slowlog;

struct nd_slowlog *nd_slowlog_new(void);
void nd_slowlog_free(struct nd_slowlog *l);

void nd_slowlog_add(const struct nd_call *c, int64_t us);
/* The command has run for so long. */
static inline void nd_slowlog_note(const struct nd_call *c, int64_t us)
{
    int64_t bound_us = c->e->config.slowlog_log_slower_than_us;
    if (us >= bound_us && bound_us >= 0)
        nd_slowlog_add(c, us);
}

#endif
