/* The target's end of a migration of slots (noded/repl/import.h): its host. The links are clients like others. */
#ifndef SHELL_SLOT_IMPORT_H
#define SHELL_SLOT_IMPORT_H

#include "noded/shell/node.h"

void slot_import_open(struct node *n); /* in cluster mode */
void slot_import_close(struct node *n);

#endif
