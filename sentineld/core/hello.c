#include "sentineld/core/hello.h"

#include "common/base/text.h"

#include <inttypes.h>

enum { FROM_HOST, FROM_PORT, ID, CURRENT_EPOCH, GROUP, MASTER_HOST, MASTER_PORT, CONFIG_EPOCH, FIELDS };

static bool read_addr(struct slice host, struct slice port_text, struct addr *out)
{
    int64_t port;
    return text_range(port_text, 1, 65535, &port) && addr_set(out, host, port);
}

bool sn_hello_parse(struct slice text, struct sn_hello *out)
{
    struct slice field[FIELDS];
    struct sn_hello h;
    for (size_t i = 0; i < FIELDS; i++) {
        if (text.p == NULL)
            return false;
        field[i] = slice_cut(&text, ',');
    }
    if (text.p != NULL || field[GROUP].n == 0)
        return false;
    h.group = field[GROUP];
    if (!read_addr(field[FROM_HOST], field[FROM_PORT], &h.from) || !runid_parse(field[ID], h.id) ||
        !text_u64(field[CURRENT_EPOCH], &h.current_epoch) ||
        !read_addr(field[MASTER_HOST], field[MASTER_PORT], &h.master) ||
        !text_u64(field[CONFIG_EPOCH], &h.config_epoch))
        return false;
    *out = h;
    return true;
}

void sn_hello_write(struct buf *out, const struct sn_hello *h)
{
    buf_printf(out, "%s,%d,%s,%" PRIu64 ",", h->from.host, h->from.port, h->id, h->current_epoch);
    buf_put(out, h->group.p, h->group.n);
    buf_printf(out, ",%s,%d,%" PRIu64, h->master.host, h->master.port, h->config_epoch);
}
