#include "noded/shell/slot_import.h"

#include "noded/repl/import.h"
#include "noded/shell/aof.h"
#include "noded/shell/bus.h"

static void tell_news(void *owner, const struct cl_id *job, enum cl_job_news news, const struct cl_id *node,
                      const uint8_t *slots, uint64_t seq, struct slice why)
{
    struct node *n = owner;
    bus_import_news(n->bus, job, news, node, slots, seq, why);
}

static uint64_t greatest_epoch(void *owner)
{
    struct node *n = owner;
    return bus_greatest_epoch(n->bus);
}

static bool flush(void *owner)
{
    struct node *n = owner;
    return aof_ask_flush(n->aof);
}

void slot_import_open(struct node *n)
{
    struct nd_import_host host = {.owner = n, .news = tell_news, .greatest_epoch = greatest_epoch, .flush = flush};
    nd_imports_new(n->repl, &host);
}

void slot_import_close(struct node *n)
{
    nd_imports_free(n->repl);
}
