#include "noded/cluster/wire.h"

#include "common/base/mem.h"
#include "common/base/rng.h"
#include "tests/unit/cluster/capture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static struct buf bytes_of(const char *name)
{
    struct buf b = {NULL, 0, 0};
    const char *p = NULL;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++)
        if (strcmp(captures[i].name, name) == 0)
            p = captures[i].text;
    assert_non_null(p);
    while (*p != '\0') {
        unsigned v;
        int count = 1, used;
        if (*p == '(') {
            assert_int_equal(sscanf(p, "(%2x*%d)%n", &v, &count, &used), 2);
        } else {
            assert_int_equal(sscanf(p, "%2x%n", &v, &used), 1);
        }
        for (; count > 0; count--)
            buf_putc(&b, (char)v);
        p += used;
    }
    return b;
}

static struct cl_message read_good(const struct buf *b)
{
    struct cl_message m;
    const char *why = NULL;
    assert_int_equal(cl_wire_length(b->p, b->n, &why), b->n);
    if (cl_wire_read(b->p, b->n, &m, &why) != CL_READ_OK)
        fail_msg("refused: %s", why);
    return m;
}

static void write_again(const struct cl_message *m, struct buf *out)
{
    struct slice body, rest = m->extensions;
    int type;
    switch (m->head.type) {
    case CL_FAIL: cl_wire_fail(out, &m->head, &m->node); return;
    case CL_UPDATE: cl_wire_update(out, &m->head, m->epoch, &m->node, m->slots); return;
    case CL_PUBLISH:
    case CL_PUBLISH_SHARD: cl_wire_publish(out, &m->head, m->channel, m->payload); return;
    default: break;
    }
    cl_wire_begin(out, &m->head);
    for (size_t i = 0; i < m->head.gossip; i++) {
        struct cl_gossip g;
        assert_true(cl_wire_gossip(m, i, &g));
        cl_wire_put_gossip(out, &g);
    }
    while (cl_wire_extension(&rest, &type, &body))
        cl_wire_put_extension(out, (enum cl_extension)type, body);
    cl_wire_end(out);
}

/* What stock nodes sent is understood whole: written again it is the same, but for our own mark. */
static void captured_bytes_come_back(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++) {
        struct buf b = bytes_of(captures[i].name), again = {NULL, 0, 0};
        struct cl_message m = read_good(&b);
        assert_false(m.head.ours);
        write_again(&m, &again);
        assert_int_equal(again.n, b.n);
        assert_memory_equal(again.p + 2216, CL_OWN_MARK, 4);
        memset(again.p + 2216, 0, 4);
        for (size_t k = 0; k < b.n; k++)
            if (again.p[k] != b.p[k])
                fail_msg("%s: byte %zu is %02x, was %02x", captures[i].name, k, (unsigned)(uint8_t)again.p[k],
                         (unsigned)(uint8_t)b.p[k]);
        buf_free(&b);
        buf_free(&again);
    }
}

static void fields_of_a_ping(void **state)
{
    struct slice body;
    int type;
    struct buf b = bytes_of("ping");
    struct cl_message m = read_good(&b);
    (void)state;
    assert_int_equal(m.head.type, CL_PING);
    assert_int_equal(m.head.bus_port, m.head.port + 11000);
    assert_true(m.head.current_epoch >= m.head.config_epoch);
    assert_true((m.head.flags & (CL_MASTER | CL_REPLICA)) != 0);
    assert_int_equal(m.head.extensions, 1);
    assert_int_equal(m.head.gossip, 3);
    struct cl_gossip g;
    assert_true(cl_wire_gossip(&m, 0, &g));
    assert_string_equal(g.ip, "127.0.0.1");
    assert_true(g.port >= 8461 && g.port <= 8464);
    struct slice rest = m.extensions;
    assert_true(cl_wire_extension(&rest, &type, &body));
    assert_int_equal(type, CL_EXT_HOSTNAME);
    assert_int_equal(body.n, strlen("node-8461.example"));
    assert_memory_equal(body.p, "node-846", 8);
    assert_false(cl_wire_extension(&rest, &type, &body));
    buf_free(&b);
}

static void fields_of_the_others(void **state)
{
    (void)state;
    struct buf b = bytes_of("publish");
    struct cl_message m = read_good(&b);
    assert_true(slice_is(m.channel, "chan"));
    assert_true(slice_is(m.payload, "hello"));
    buf_free(&b);
    b = bytes_of("auth_request_forced");
    m = read_good(&b);
    assert_int_equal(m.head.message_flags & CL_MSG_FORCE_ACK, CL_MSG_FORCE_ACK);
    assert_false(cl_id_is_none(&m.head.master));
    assert_true(cl_bit(m.head.slots, 0));
    assert_false(cl_bit(m.head.slots, 16383));
    buf_free(&b);
    b = bytes_of("pong_paused");
    m = read_good(&b);
    assert_int_equal(m.head.message_flags & CL_MSG_PAUSED, CL_MSG_PAUSED);
    buf_free(&b);
    b = bytes_of("update");
    m = read_good(&b);
    assert_int_equal(m.epoch, 4);
    assert_true(cl_bit(m.slots, 0) && cl_bit(m.slots, 5460) && !cl_bit(m.slots, 5461));
    buf_free(&b);
    b = bytes_of("fail");
    m = read_good(&b);
    assert_false(cl_id_eq(&m.node, &m.head.sender));
    buf_free(&b);
}

static void framing_needs_eight_bytes(void **state)
{
    (void)state;
    const char *why = NULL;
    struct buf b = bytes_of("ping");
    for (size_t n = 0; n < 8; n++)
        assert_int_equal(cl_wire_length(b.p, n, &why), 0);
    assert_int_equal(cl_wire_length(b.p, 8, &why), b.n);
    assert_int_equal(cl_wire_length("*1\r\n", 4, &why), -1);
    assert_int_equal(cl_wire_length("RCmb\0\0\0\7", 8, &why), -1);
    assert_int_equal(cl_wire_length("RCmb\xff\0\0\0", 8, &why), -1);
    buf_free(&b);
}

/* More than is understood: bytes behind the content, unknown extensions, unknown types. */
/* nodes.conf could not be read again with it. */
static void what_is_no_address_is_as_good_as_none(void **state)
{
    (void)state;
    struct cl_gossip g, again;
    struct buf b = bytes_of("ping");
    struct cl_message m = read_good(&b);
    static const char *const no[] = {"127.0.0", "127.0.0.1.", "node-1", "1:2:", "%"};
    assert_true(cl_wire_gossip(&m, 0, &g));
    char *at = memmem(b.p, b.n, g.ip, strlen(g.ip));
    assert_non_null(at);
    for (size_t i = 0; i < sizeof no / sizeof *no; i++) {
        memset(at, 0, CL_IP_MAX);
        memcpy(at, no[i], strlen(no[i]));
        m = read_good(&b);
        assert_true(cl_wire_gossip(&m, 0, &again));
        assert_string_equal(again.ip, "");
        assert_int_equal(again.port, g.port);
    }
    buf_free(&b);
}

static void what_is_not_known_is_skipped(void **state)
{
    (void)state;
    const char *why = NULL;
    struct cl_message m;
    struct slice body;
    int type;
    struct buf b = bytes_of("ping"), more = {NULL, 0, 0};
    buf_put(&b, "0123456789abcdef", 16);
    cl_wire_end(&b);
    m = read_good(&b);
    assert_int_equal(m.head.gossip, 3);
    cl_wire_begin(&more, &m.head);
    cl_wire_put_extension(&more, (enum cl_extension)77, slice_of("what"));
    cl_wire_put_extension(&more, CL_EXT_HOSTNAME, slice_of("here"));
    cl_wire_end(&more);
    m = read_good(&more);
    assert_true(m.head.ours);
    struct slice rest = m.extensions;
    assert_true(cl_wire_extension(&rest, &type, &body));
    assert_int_equal(type, 77);
    assert_true(cl_wire_extension(&rest, &type, &body));
    assert_true(slice_is(body, "here"));
    more.p[13] = 55;
    assert_int_equal(cl_wire_read(more.p, more.n, &m, &why), CL_READ_SKIP);
    more.p[13] = CL_MODULE;
    assert_int_equal(cl_wire_read(more.p, more.n, &m, &why), CL_READ_SKIP);
    more.p[13] = CL_PING;
    more.p[9] = 2;
    assert_int_equal(cl_wire_read(more.p, more.n, &m, &why), CL_READ_SKIP);
    buf_free(&b);
    buf_free(&more);
}

static void read_copy(const char *p, size_t n)
{
    const char *why = NULL;
    struct cl_message m;
    struct cl_gossip g;
    struct slice body;
    int type;
    /* Memory of exactly its size: the sanitizer sees a byte too far. */
    char *copy = mem_alloc(n);
    memcpy(copy, p, n);
    enum cl_read got = cl_wire_read(copy, n, &m, &why);
    if (got == CL_READ_OK) {
        for (size_t i = 0; i < m.head.gossip && m.entries.n > 0; i++)
            cl_wire_gossip(&m, i, &g);
        for (struct slice rest = m.extensions; cl_wire_extension(&rest, &type, &body);)
            assert_true(body.n == 0 || (body.p >= copy && body.p + body.n <= copy + n));
    } else {
        assert_non_null(why);
    }
    free(copy);
}

static void hostile_bytes_are_refused(void **state)
{
    (void)state;
    struct rng rng;
    rng_seed(&rng, 7);
    for (size_t i = 0; i < sizeof captures / sizeof *captures; i++) {
        struct buf b = bytes_of(captures[i].name);
        struct cl_message m;
        const char *why = NULL;
        size_t need = b.n; /* every shorter one lacks something */
        for (size_t n = 16; n < need; n += n < CL_WIRE_HEADER - 16 ? 97 : 1) {
            read_copy(b.p, n);
            assert_int_equal(cl_wire_read(b.p, n, &m, &why), CL_READ_BAD);
        }
        for (int round = 0; round < 3000; round++) {
            struct buf c = {NULL, 0, 0};
            buf_put(&c, b.p, b.n);
            for (uint64_t k = 1 + rng_below(&rng, 4); k > 0; k--) {
                size_t at = rng_below(&rng, 3) == 0 ? 8 + rng_below(&rng, 10) : rng_below(&rng, c.n);
                at = rng_below(&rng, 3) == 0 ? CL_WIRE_HEADER - 45 + rng_below(&rng, c.n - CL_WIRE_HEADER + 45) : at;
                c.p[at] = (char)rng_u64(&rng);
            }
            read_copy(c.p, c.n);
            buf_free(&c);
        }
        buf_free(&b);
    }
}

static void an_id_is_checked(void **state)
{
    (void)state;
    struct cl_id id;
    char text[CL_ID_DIGITS + 1];
    const char *good = "0123456789abcdef0123456789abcdef01234567";
    assert_true(cl_id_parse(slice_of(good), &id));
    assert_string_equal(cl_id_text(&id, text), good);
    assert_false(cl_id_parse(slice_of("0123456789ABCDEF0123456789abcdef01234567"), &id));
    assert_false(cl_id_parse(slice_of("0123456789abcdef0123456789abcdef0123456"), &id));
    assert_string_equal(cl_id_text(&id, text), good);
}

static void bits_are_found(void **state)
{
    (void)state;
    struct rng rng;
    uint8_t map[CL_SLOT_BYTES] = {0};
    bool model[CL_SLOTS] = {false};
    rng_seed(&rng, 3);
    for (int i = 0; i < 300; i++) {
        int first = (int)rng_below(&rng, CL_SLOTS), n = (int)rng_below(&rng, 60);
        for (int s = first; s < first + n && s < CL_SLOTS; s++) {
            cl_bit_set(map, s);
            model[s] = true;
        }
    }
    for (int s = 0; s < CL_SLOTS; s++) {
        for (int value = 0; value < 2; value++) {
            int next = s;
            while (next < CL_SLOTS && model[next] != (value == 1))
                next++;
            assert_int_equal(cl_bit_next(map, s, value == 1), next);
        }
        if (s % 3 == 0) {
            cl_bit_clear(map, s);
            model[s] = false;
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(captured_bytes_come_back),
        cmocka_unit_test(fields_of_a_ping),
        cmocka_unit_test(fields_of_the_others),
        cmocka_unit_test(framing_needs_eight_bytes),
        cmocka_unit_test(what_is_no_address_is_as_good_as_none),
        cmocka_unit_test(what_is_not_known_is_skipped),
        cmocka_unit_test(hostile_bytes_are_refused),
        cmocka_unit_test(an_id_is_checked),
        cmocka_unit_test(bits_are_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
