/* The hello message, reference section 5: how supervisors find each other and spread configurations. */
#ifndef CORE_HELLO_H
#define CORE_HELLO_H

#include "common/base/addr.h"
#include "common/base/runid.h"

#define SN_HELLO_CHANNEL "__sentinel__:hello"

struct sn_hello {
    struct addr from;
    runid id;
    uint64_t current_epoch;
    struct slice group; /* points into the text */
    struct addr master;
    uint64_t config_epoch;
};

/* Exactly eight fields, each valid; otherwise false. */
bool sn_hello_parse(struct slice text, struct sn_hello *out);
void sn_hello_write(struct buf *out, const struct sn_hello *h);
/* Whether the text names `id` (lower case) as its sender; says nothing about the rest of it. */
bool sn_hello_is_from(struct slice text, const runid id);

#endif
