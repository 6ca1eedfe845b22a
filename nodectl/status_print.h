/* `nodectl status`, last part: the document of status_merge() as tables. */
#ifndef NODECTL_STATUS_PRINT_H
#define NODECTL_STATUS_PRINT_H

#include <jansson.h>
#include <stdbool.h>
#include <stdio.h>

void status_print(const json_t *document, FILE *out, bool colour);

#endif
