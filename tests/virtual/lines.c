#include "tests/virtual/lines.h"

#include <stdio.h>
#include <stdlib.h>

#include "common/base/bytes.h"
#include "common/base/mem.h"

#define KEPT 600

struct lines {
    char *line[KEPT];
    size_t n;
    bool at_once;
};

struct lines *lines_new(bool at_once)
{
    struct lines *l = mem_zalloc(sizeof *l);
    l->at_once = at_once;
    return l;
}

void lines_free(struct lines *l)
{
    for (size_t i = 0; l != NULL && i < KEPT; i++)
        free(l->line[i]);
    free(l);
}

void lines_put(struct lines *l, int64_t now_us, const char *who, const char *fmt, va_list ap)
{
    struct buf b = {0};
    buf_printf(&b, "%11.6f %-8s ", (double)now_us / 1e6, who);
    buf_vprintf(&b, fmt, ap);
    if (l->at_once) {
        printf("%s\n", buf_str(&b));
    } else {
        free(l->line[l->n % KEPT]);
        l->line[l->n++ % KEPT] = mem_strdup(buf_str(&b));
    }
    buf_free(&b);
}

void lines_print(const struct lines *l)
{
    for (size_t i = l->n > KEPT ? l->n - KEPT : 0; i < l->n; i++)
        printf("%s\n", l->line[i % KEPT]);
}
