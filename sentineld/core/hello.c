#include "sentineld/core/hello.h"

#include "common/base/text.h"

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

static void put_number(struct buf *out, uint64_t v)
{
    char digits[20];
    size_t at = sizeof digits;
    do {
        digits[--at] = (char)('0' + v % 10);
        v /= 10;
    } while (v > 0);
    buf_put(out, digits + at, sizeof digits - at);
}

/* By hand: thousands are written in a second, and each number costs printf() as much as all the rest. */
void sn_hello_write(struct buf *out, const struct sn_hello *h)
{
    buf_puts(out, h->from.host);
    buf_putc(out, ',');
    put_number(out, (uint64_t)h->from.port);
    buf_putc(out, ',');
    buf_puts(out, h->id);
    buf_putc(out, ',');
    put_number(out, h->current_epoch);
    buf_putc(out, ',');
    buf_put(out, h->group.p, h->group.n);
    buf_putc(out, ',');
    buf_puts(out, h->master.host);
    buf_putc(out, ',');
    put_number(out, (uint64_t)h->master.port);
    buf_putc(out, ',');
    put_number(out, h->config_epoch);
}

bool sn_hello_is_from(struct slice text, const runid id)
{
    slice_cut(&text, ',');
    slice_cut(&text, ',');
    return slice_is(slice_cut(&text, ','), id);
}
