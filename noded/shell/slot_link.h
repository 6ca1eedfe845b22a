/* The links over which slots leave this node: what noded/repl/export.h asks of the program. In cluster mode only. */
#ifndef SHELL_SLOT_LINK_H
#define SHELL_SLOT_LINK_H

#include "noded/repl/export.h"
#include "noded/shell/node.h"

struct slot_links;

/* The node can export from now on. news and owner: as struct nd_export_host has them. */
struct slot_links *slot_links_open(struct node *n,
                                   void (*news)(void *owner, const struct cl_id *job, enum cl_job_news news,
                                                uint64_t seq, struct slice why),
                                   void *owner);
/* All jobs are gone, without a word to anybody. NULL is allowed, here and below. */
void slot_links_close(struct slot_links *all);
size_t slot_links_memory(const struct slot_links *all); /* bytes of their buffers */

#endif
