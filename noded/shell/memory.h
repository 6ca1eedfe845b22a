/* How much memory the program uses, at no cost for each allocation: the allocator counts for each thread, and threads
 * that allocate or free tell where their counters are. */
#ifndef SHELL_MEMORY_H
#define SHELL_MEMORY_H

#include "noded/cmd/stats.h"

/* The calling thread's counters are read from now on; it lives as long as the program does. At most eight threads. */
void memory_count_thread(void);
size_t memory_used(void); /* bytes allocated and not freed */

/* Fills allocated, active, resident, retained and allocator. */
void memory_facts(struct nd_facts *out);
/* Gives back to the system what the allocator holds and does not use. */
void memory_purge(void);
void memory_allocator_stats(struct buf *out); /* the allocator's own report, for people; appends */
/* false: a sanitizer has taken the allocator's place, and wants everything freed at the end. */
bool memory_is_ours(void);

#endif
