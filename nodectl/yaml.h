/* A jansson value as a YAML document, through libyaml. */
#ifndef NODECTL_YAML_H
#define NODECTL_YAML_H

#include <jansson.h>
#include <stdio.h>

void yaml_write(const json_t *document, FILE *out);

#endif
