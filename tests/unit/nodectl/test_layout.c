/* fleet.json: what is written is read again, and what anybody else may have written into it gets an error. */
#include "nodectl/local/layout.h"

#include "common/base/mem.h"
#include "nodectl/local/conf_text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static char dir[] = "/tmp/test_layout-XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) != NULL ? 0 : -1;
}

static int remove_dir(void **state)
{
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/fleet.json", dir);
    (void)unlink(path);
    return rmdir(dir);
}

static struct layout some(void)
{
    struct layout l = {.dir = mem_strdup(dir),
                       .name = mem_strdup("orders"),
                       .runner = RUN_BY_USER_SYSTEMD,
                       .noded = mem_strdup("/opt/no\"ded"),
                       .sentineld = mem_strdup("/opt/sentineld"),
                       .run_as = mem_strdup(""),
                       .password_file = mem_strdup("/secret"),
                       .node_password_file = mem_strdup(""),
                       .shards = 2,
                       .replicas = 1,
                       .supervisors = 1,
                       .down_after_ms = 1500};
    struct addr a;
    assert_true(addr_set(&a, slice_of("::1"), 7001));
    struct layout_member *m = layout_add(&l, false, &a);
    snprintf(m->folder, sizeof m->folder, "::1/node-7001");
    m->bus_port = 17001;
    m->shard = 2;
    m->master = true;
    free(m->zone);
    m->zone = mem_strdup("z");
    assert_true(addr_set(&a, slice_of("127.0.0.1"), 26379));
    m = layout_add(&l, true, &a);
    snprintf(m->folder, sizeof m->folder, "supervisor-26379");
    return l;
}

static void test_a_change_under_way(void **state)
{
    struct layout l = some(), r;
    struct buf why = {0};
    (void)state;
    l.changing = LAYOUT_REMOVES;
    l.changing_who = l.v[1].addr;
    assert_true(layout_save(&l, &why));
    assert_true(layout_load(&r, dir, &why));
    assert_int_equal(r.changing, LAYOUT_REMOVES);
    assert_true(addr_eq(&r.changing_who, &l.v[1].addr));
    layout_free(&r);
    l.changing = LAYOUT_SETTLED;
    assert_true(layout_save(&l, &why));
    assert_true(layout_load(&r, dir, &why));
    assert_int_equal(r.changing, LAYOUT_SETTLED);
    layout_free(&r);
    layout_free(&l);
    buf_free(&why);
}

static void test_there_and_back(void **state)
{
    struct layout l = some(), r;
    struct buf why = {0};
    (void)state;
    assert_false(layout_is_there(dir));
    assert_true(layout_save(&l, &why));
    assert_true(layout_is_there(dir));
    assert_true(layout_load(&r, dir, &why));
    assert_int_equal(why.n, 0);
    assert_string_equal(r.name, "orders");
    assert_string_equal(r.noded, "/opt/no\"ded");
    assert_string_equal(r.password_file, "/secret");
    assert_string_equal(r.node_password_file, "");
    assert_int_equal(r.runner, RUN_BY_USER_SYSTEMD);
    assert_false(r.complete);
    assert_int_equal(r.down_after_ms, 1500);
    assert_int_equal(r.shards + 10 * r.replicas + 100 * r.supervisors, 112);
    assert_int_equal(r.n, 2);
    assert_string_equal(r.v[0].folder, "::1/node-7001");
    assert_true(addr_eq(&r.v[0].addr, &l.v[0].addr) && r.v[0].master && !r.v[0].supervisor);
    assert_int_equal(r.v[0].bus_port, 17001);
    assert_string_equal(r.v[0].zone, "z");
    assert_true(r.v[1].supervisor);
    char *unit = layout_unit(&r, &r.v[0]);
    assert_string_equal(unit, "nodectl-orders-::1-node-7001.service");
    free(unit);
    layout_free(&l);
    layout_free(&r);
    buf_free(&why);
}

#define HEAD "\"format\": 1, \"fleet\": \"f\", \"run_by\": \"nodectl\""
#define NODE "\"bus_port\": 17001, \"role\": \"master\", \"shard\": 1"

static void test_strange_files(void **state)
{
    static const struct {
        const char *text, *says;
    } files[] = {
        {"", "cannot be understood"},
        {"[]", "format"},
        {"{ \"format\": 2 }", "another version"},
        {"{ \"format\": 1, \"fleet\": \"../f\", \"run_by\": \"nodectl\" }", "no name of a fleet"},
        {"{ \"format\": 1, \"fleet\": \"f\", \"run_by\": \"me\" }", "run_by"},
        {"{ " HEAD " }", "nodes or supervisors are missing"},
        {"{ " HEAD ", \"nodes\": [ 3 ], \"supervisors\": [] }", "folder is no path below"},
        {"{ " HEAD ", \"nodes\": [ { \"folder\": \"../x\", \"address\": \"h:1\", " NODE " } ], \"supervisors\": [] }",
         "folder is no path below"},
        {"{ " HEAD ", \"nodes\": [ { \"folder\": \"/x\", \"address\": \"h:1\", " NODE " } ], \"supervisors\": [] }",
         "folder is no path below"},
        {"{ " HEAD ", \"nodes\": [ { \"folder\": \"a/./b\", \"address\": \"h:1\", " NODE " } ], \"supervisors\": [] }",
         "folder is no path below"},
        {"{ " HEAD ", \"nodes\": [ { \"folder\": \"x\", \"address\": \"h\", " NODE " } ], \"supervisors\": [] }",
         "host:port"},
        {"{ " HEAD
         ", \"nodes\": [ { \"folder\": \"x\", \"address\": \"h:1\", \"bus_port\": 70000, \"role\": \"master\" } ],"
         " \"supervisors\": [] }",
         "bus_port"},
    };
    char path[64];
    (void)state;
    snprintf(path, sizeof path, "%s/fleet.json", dir);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        struct layout l;
        struct buf why = {0};
        FILE *f = fopen(path, "we");
        assert_non_null(f);
        assert_true(fputs(files[i].text, f) >= 0);
        assert_int_equal(fclose(f), 0);
        assert_false(layout_load(&l, dir, &why));
        if (strstr(buf_str(&why), files[i].says) == NULL)
            fail_msg("%s: %s", files[i].text, buf_str(&why));
        layout_free(&l);
        buf_free(&why);
    }
    assert_int_equal(unlink(path), 0);
}

static void test_names(void **state)
{
    static const char *const good[] = {"orders", "a", "7", "a-b_c.d"};
    static const char *const bad[] = {"", "-a", ".a", "a/b", "a b", "a\n", "a,b", "\xc3\xa4"};
    char longest[66];
    (void)state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(layout_name_is_good(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(layout_name_is_good(bad[i]));
    memset(longest, 'x', sizeof longest);
    longest[64] = '\0';
    assert_true(layout_name_is_good(longest));
    longest[64] = 'x';
    longest[65] = '\0';
    assert_false(layout_name_is_good(longest));
}

/* What systemd or libconfig would take for something else is kept from them. */
static void test_texts(void **state)
{
    struct layout l = some();
    struct buf text = {0};
    (void)state;
    free(l.dir);
    l.dir = mem_strdup("/a b/50%\"$x");
    conf_text_unit(&text, &l, &l.v[0]);
    assert_non_null(
        strstr(buf_str(&text), "ExecStart=:\"/opt/no\\\"ded\" \"/a b/50%%\\\"$x/::1/node-7001/noded.conf\"\n"));
    assert_non_null(strstr(buf_str(&text), "StandardOutput=append:/a b/50%%\"$x/::1/node-7001/log\n"));
    assert_null(strstr(buf_str(&text), "User="));
    buf_clear(&text);
    conf_text_node(&text, &l, &l.v[0], "se\"cret");
    assert_non_null(strstr(buf_str(&text), "requirepass = \"se\\\"cret\";\nmasterauth = \"se\\\"cret\";\n"));
    assert_non_null(strstr(buf_str(&text), "dir = \"/a b/50%\\\"$x/::1/node-7001\";\n"));
    buf_clear(&text);
    conf_text_supervisor(&text, &l, &l.v[1], "", "");
    assert_null(strstr(buf_str(&text), "users"));
    assert_non_null(strstr(buf_str(&text), "seeds = [ \"[::1]:7001\" ]; down_after_ms = 1500; }"));
    buf_free(&text);
    layout_free(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back), cmocka_unit_test(test_a_change_under_way),
        cmocka_unit_test(test_strange_files),  cmocka_unit_test(test_names),
        cmocka_unit_test(test_texts),
    };
    return cmocka_run_group_tests(tests, make_dir, remove_dir);
}
