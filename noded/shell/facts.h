/* What INFO says of the process and the system. */
#ifndef SHELL_FACTS_H
#define SHELL_FACTS_H

#include "noded/cmd/stats.h"

/* Everything but client_memory_normal, lazyfree_*, uptime_s, executable and config_file, which the caller knows. The
 * strings live as long as the program does. */
void facts_collect(struct nd_facts *out);

#endif
