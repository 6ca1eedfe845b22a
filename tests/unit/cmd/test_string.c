/* Commands of strings: what they answer, and what a copy is told. The answers are those of a real server 7.0.15. */
#include "noded/cmd/engine.h"
#include "noded/store/value.h"
#include "tests/unit/cmd/engine_fixture.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#define WRONGTYPE "-WRONGTYPE Operation against a key holding the wrong kind of value\r\n"
#define NOT_INT "-ERR value is not an integer or out of range\r\n"
#define SYNTAX "-ERR syntax error\r\n"

/* One command with its answer and its effects, NULL: not looked at. The clock stands at 1,700,000,000,000 ms. */
struct row {
    const char *command, *answer, *effects;
};

static void run_rows(const struct row *rows, size_t n)
{
    struct fixture *f = fixture_new();
    for (size_t i = 0; i < n; i++) {
        const char *answer = run(f, rows[i].command);
        if (rows[i].answer != NULL && strcmp(answer, rows[i].answer) != 0)
            fail_msg("%s: answered %s, wanted %s", rows[i].command, answer, rows[i].answer);
        const char *effects = fixture_effects(f);
        if (rows[i].effects != NULL && strcmp(effects, rows[i].effects) != 0)
            fail_msg("%s: effects %s, wanted %s", rows[i].command, effects, rows[i].effects);
        fixture_assert_copied(f);
    }
    fixture_free(f);
}
#define RUN_ROWS(rows) run_rows(rows, sizeof(rows) / sizeof(rows)[0])

static void set_takes_options(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SET a 1", "+OK\r\n", "0 SET a 1\n"},
        {"SET a 2 NX", "$-1\r\n", ""},
        {"SET b 2 XX", "$-1\r\n", ""},
        {"SET b 2 nx", "+OK\r\n", "0 SET b 2 nx\n"},
        {"SET a 3 XX GET", "$1\r\n1\r\n", "0 SET a 3 XX\n"},
        {"SET c 3 GET", "$-1\r\n", "0 SET c 3\n"},
        {"SET c 4 NX GET", "$1\r\n3\r\n", ""},
        {"SET a 4 EX 10", "+OK\r\n", "0 SET a 4 PXAT 1700000010000\n"},
        {"SET a 5 KEEPTTL", "+OK\r\n", "0 SET a 5 KEEPTTL\n"},
        {"PTTL a", ":10000\r\n", ""},
        {"SET a 6 PX 10 NX", "$-1\r\n", ""},
        {"SET a 6 PX 10 GET", "$1\r\n5\r\n", "0 SET a 6 PXAT 1700000000010\n"},
        {"SET a 7 EXAT 1800000000", "+OK\r\n", "0 SET a 7 PXAT 1800000000000\n"},
        {"SET a 7 PXAT 1800000000001 XX", "+OK\r\n", "0 SET a 7 PXAT 1800000000001\n"},
        {"SET a 7", "+OK\r\n", "0 SET a 7\n"},
        {"PTTL a", ":-1\r\n", ""},
        {"SET a 7 PXAT 1", "+OK\r\n", "0 SET a 7 PXAT 1\n"},
        {"GET a", "$-1\r\n", "0 DEL a\n"},
        {"RPUSH l 1", NULL, NULL},
        {"SET l 1 GET", WRONGTYPE, ""},
        {"SET l 1", "+OK\r\n", "0 SET l 1\n"},
        {"SET a 1 EX", SYNTAX, ""},
        {"SET a 1 EX 10 PX 10", SYNTAX, ""},
        {"SET a 1 EX 10 KEEPTTL", SYNTAX, ""},
        {"SET a 1 NX XX", SYNTAX, ""},
        {"SET a 1 PERSIST", SYNTAX, ""},
        {"SET a 1 EX 10 EX 20", "+OK\r\n", "0 SET a 1 PXAT 1700000020000\n"},
        {"SET a 1 EX 0", "-ERR invalid expire time in 'set' command\r\n", ""},
        {"SET a 1 PX -1", "-ERR invalid expire time in 'set' command\r\n", ""},
        {"SET a 1 EX 9223372036854776", "-ERR invalid expire time in 'set' command\r\n", ""},
        {"SET a 1 PX 9223372036854775807", "-ERR invalid expire time in 'set' command\r\n", ""},
        {"SET a 1 EX x", NOT_INT, ""},
    };
    RUN_ROWS(rows);
}

static void strings_are_set_and_read(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"GET a", "$-1\r\n", ""},
        {"SETNX a 1", ":1\r\n", "0 SETNX a 1\n"},
        {"SETNX a 2", ":0\r\n", ""},
        {"SETEX a 10 x", "+OK\r\n", "0 SET a x PXAT 1700000010000\n"},
        {"PSETEX a 10 y", "+OK\r\n", "0 SET a y PXAT 1700000000010\n"},
        {"SETEX a 0 y", "-ERR invalid expire time in 'setex' command\r\n", ""},
        {"PSETEX a x y", NOT_INT, ""},
        {"GETSET a z", "$1\r\ny\r\n", "0 SET a z\n"},
        {"TTL a", ":-1\r\n", ""},
        {"GETSET b z", "$-1\r\n", "0 SET b z\n"},
        {"GETDEL b", "$1\r\nz\r\n", "0 DEL b\n"},
        {"GETDEL b", "$-1\r\n", ""},
        {"GETEX a", "$1\r\nz\r\n", ""},
        {"GETEX a EX 100", "$1\r\nz\r\n", "0 PEXPIREAT a 1700000100000\n"},
        {"GETEX a PERSIST", "$1\r\nz\r\n", "0 PERSIST a\n"},
        {"GETEX a PERSIST", "$1\r\nz\r\n", ""},
        {"GETEX a PXAT 1700000000000", "$1\r\nz\r\n", "0 DEL a\n"},
        {"GETEX a EX 0", "$-1\r\n", ""},
        {"GETEX a KEEPTTL", SYNTAX, ""},
        {"GETEX a NX", SYNTAX, ""},
        {"MSET a 1 b 2 a 3", "+OK\r\n", "0 MSET a 1 b 2 a 3\n"},
        {"MSETNX c 1 a 2", ":0\r\n", ""},
        {"MSETNX c 1 c 2", ":1\r\n", "0 MSETNX c 1 c 2\n"},
        {"MSET a", "-ERR wrong number of arguments for 'mset' command\r\n", ""},
        {"MSETNX a 1 b", "-ERR wrong number of arguments for 'msetnx' command\r\n", ""},
        {"RPUSH l 1", NULL, NULL},
        {"MGET a b none l c", "*5\r\n$1\r\n3\r\n$1\r\n2\r\n$-1\r\n$-1\r\n$1\r\n2\r\n", ""},
        {"GET l", WRONGTYPE, ""},
        {"GETDEL l", WRONGTYPE, ""},
        {"GETSET l 1", WRONGTYPE, ""},
        {"GETEX l PERSIST", WRONGTYPE, ""},
        {"STRLEN l", WRONGTYPE, ""},
        {"STRLEN none", ":0\r\n", ""},
        {"SET a -100", NULL, NULL},
        {"STRLEN a", ":4\r\n", ""},
    };
    RUN_ROWS(rows);
}

static void numbers_are_counted(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"INCR a", ":1\r\n", "0 INCR a\n"},
        {"DECR a", ":0\r\n", "0 DECR a\n"},
        {"INCRBY a 9223372036854775807", ":9223372036854775807\r\n", "0 INCRBY a 9223372036854775807\n"},
        {"INCR a", "-ERR increment or decrement would overflow\r\n", ""},
        {"DECRBY a -9223372036854775808", "-ERR decrement would overflow\r\n", ""},
        {"INCRBY a x", NOT_INT, ""},
        {"SET b 1.5", NULL, NULL},
        {"INCR b", NOT_INT, ""},
        {"SET b 10 EX 100", NULL, NULL},
        {"INCRBY b 5", ":15\r\n", "0 INCRBY b 5\n"},
        {"APPEND b 0", ":3\r\n", NULL},
        {"OBJECT ENCODING b", "$3\r\nraw\r\n", ""},
        {"DECRBY b 50", ":100\r\n", NULL},
        {"OBJECT ENCODING b", "$3\r\nint\r\n", ""},
        {"TTL b", ":100\r\n", ""},
        {"INCRBYFLOAT b 0.1", "$5\r\n100.1\r\n", "0 SET b 100.1 KEEPTTL\n"},
        {"OBJECT ENCODING b", "$6\r\nembstr\r\n", ""},
        {"TTL b", ":100\r\n", ""},
        {"INCRBYFLOAT c 5e3", "$4\r\n5000\r\n", "0 SET c 5000 KEEPTTL\n"},
        {"INCRBYFLOAT c inf", "-ERR increment would produce NaN or Infinity\r\n", ""},
        {"INCRBYFLOAT c nan", "-ERR value is not a valid float\r\n", ""},
        {"SET c x", NULL, NULL},
        {"INCRBYFLOAT c 1", "-ERR value is not a valid float\r\n", ""},
        {"RPUSH l 1", NULL, NULL},
        {"INCR l", WRONGTYPE, ""},
        {"INCRBYFLOAT l 1", WRONGTYPE, ""},
    };
    RUN_ROWS(rows);
}

static void parts_are_read_and_written(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"APPEND a 12", ":2\r\n", "0 APPEND a 12\n"},
        {"OBJECT ENCODING a", "$3\r\nint\r\n", ""},
        {"APPEND a 3", ":3\r\n", "0 APPEND a 3\n"},
        {"SETRANGE a 5 xy", ":7\r\n", "0 SETRANGE a 5 xy\n"},
        {"GET a", NULL, ""},
        {"GETRANGE a 0 -1", "$7\r\n123\0\0xy\r\n", ""},
        {"SETRANGE a 0 \"\"", ":7\r\n", ""},
        {"SETRANGE none 5 \"\"", ":0\r\n", ""},
        {"EXISTS none", ":0\r\n", ""},
        {"SETRANGE b 1 x", ":2\r\n", "0 SETRANGE b 1 x\n"},
        {"OBJECT ENCODING b", "$3\r\nraw\r\n", ""},
        {"SETRANGE a -1 x", "-ERR offset is out of range\r\n", ""},
        {"SETRANGE a 536870911 xx", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)\r\n", ""},
        {"SET c \"This is a string\"", NULL, NULL},
        {"GETRANGE c 0 3", "$4\r\nThis\r\n", ""},
        {"GETRANGE c -3 -1", "$3\r\ning\r\n", ""},
        {"GETRANGE c -1 -3", "$0\r\n\r\n", ""},
        {"GETRANGE c 10 100", "$6\r\nstring\r\n", ""},
        {"GETRANGE c -100 3", "$4\r\nThis\r\n", ""},
        {"GETRANGE c 5 3", "$0\r\n\r\n", ""},
        {"SUBSTR c 0 0", "$1\r\nT\r\n", ""},
        {"GETRANGE none 0 -1", "$0\r\n\r\n", ""},
        {"GETRANGE c x 1", NOT_INT, ""},
        {"RPUSH l 1", NULL, NULL},
        {"APPEND l 1", WRONGTYPE, ""},
        {"SETRANGE l 0 1", WRONGTYPE, ""},
        {"GETRANGE l 0 1", WRONGTYPE, ""},
    };
    RUN_ROWS(rows);
}

static void the_longest_common_subsequence(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"MSET a ohmytext b mynewtext e \"\"", NULL, NULL},
        {"LCS a b", "$6\r\nmytext\r\n", ""},
        {"LCS a b LEN", ":6\r\n", ""},
        {"LCS a b IDX",
         "*4\r\n$7\r\nmatches\r\n*2\r\n*2\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n*2\r\n*2\r\n:2\r\n:3\r\n*2\r\n:0\r\n:"
         "1\r\n"
         "$3\r\nlen\r\n:6\r\n",
         ""},
        {"LCS a b IDX MINMATCHLEN 4 WITHMATCHLEN",
         "*4\r\n$7\r\nmatches\r\n*1\r\n*3\r\n*2\r\n:4\r\n:7\r\n*2\r\n:5\r\n:8\r\n:4\r\n$3\r\nlen\r\n:6\r\n", ""},
        {"LCS a none", "$0\r\n\r\n", ""},
        {"LCS none a LEN", ":0\r\n", ""},
        {"LCS e a IDX", "*4\r\n$7\r\nmatches\r\n*0\r\n$3\r\nlen\r\n:0\r\n", ""},
        {"LCS a b IDX LEN", "-ERR If you want both the length and indexes, please just use IDX.\r\n", ""},
        {"LCS a b x", SYNTAX, ""},
        {"LCS a b MINMATCHLEN", SYNTAX, ""},
        {"RPUSH l 1", NULL, NULL},
        {"LCS a l", "-ERR The specified keys must contain string values\r\n", ""},
        /* The product of the lengths is more than the command takes. */
        {"SETRANGE x 200000 x", NULL, NULL},
        {"SETRANGE y 200000 x", NULL, NULL},
        {"LCS x y LEN", "-ERR Insufficient memory, failed allocating transient memory for LCS\r\n", ""},
    };
    RUN_ROWS(rows);
}

static void bits_are_set_counted_and_found(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"SETBIT a 7 1", ":0\r\n", "0 SETBIT a 7 1\n"},
        {"SETBIT a 7 1", ":1\r\n", ""},
        {"SETBIT a 7 0", ":1\r\n", "0 SETBIT a 7 0\n"},
        {"SETBIT a 100 0", ":0\r\n", "0 SETBIT a 100 0\n"},
        {"STRLEN a", ":13\r\n", ""},
        {"GETBIT a 100000", ":0\r\n", ""},
        {"SETBIT a 4294967296 1", "-ERR bit offset is not an integer or out of range\r\n", ""},
        {"SETBIT a -1 1", "-ERR bit offset is not an integer or out of range\r\n", ""},
        {"SETBIT a 0 2", "-ERR bit is not an integer or out of range\r\n", ""},
        {"GETBIT a #0", "-ERR bit offset is not an integer or out of range\r\n", ""},
        {"SET n 12", NULL, NULL},
        {"GETBIT n 2", ":1\r\n", ""},
        {"SETBIT n 2 1", ":1\r\n", ""},
        {"OBJECT ENCODING n", "$3\r\nraw\r\n", ""},
        {"SET k foobar", NULL, NULL},
        {"BITCOUNT k", ":26\r\n", ""},
        {"BITCOUNT k 0 0", ":4\r\n", ""},
        {"BITCOUNT k 1 1 BYTE", ":6\r\n", ""},
        {"BITCOUNT k 5 30 BIT", ":17\r\n", ""},
        {"BITCOUNT k -1 -3 x", ":0\r\n", ""},
        {"BITCOUNT k 0 1 x", SYNTAX, ""},
        {"BITCOUNT k 0", SYNTAX, ""},
        {"BITCOUNT none x y", ":0\r\n", ""},
        {"SET p \"\\xff\\xf0\\x00\"", NULL, NULL},
        {"BITPOS p 0", ":12\r\n", ""},
        {"BITPOS p 1 2", ":-1\r\n", ""},
        {"BITPOS p 1 7 15 BIT", ":7\r\n", ""},
        {"BITPOS p 0 0 0", ":-1\r\n", ""},
        {"BITPOS none 0", ":0\r\n", ""},
        {"BITPOS none 1", ":-1\r\n", ""},
        {"SET p \"\\xff\\xff\"", NULL, NULL},
        {"BITPOS p 0", ":16\r\n", ""},
        {"BITPOS p 0 1", ":16\r\n", ""},
        {"BITPOS p 0 0 -1", ":-1\r\n", ""},
        {"BITPOS p 2", "-ERR The bit argument must be 1 or 0.\r\n", ""},
        {"BITPOS p 0 0 x y", SYNTAX, ""},
        {"BITPOS p 0 0 x BIT", NOT_INT, ""},
        {"BITOP AND to k p", ":6\r\n", "0 BITOP AND to k p\n"},
        {"GETRANGE to 0 1", "$2\r\nfo\r\n", ""},
        {"BITOP not to p", ":2\r\n", NULL},
        {"BITOP NOT to p k", "-ERR BITOP NOT must be called with a single source key.\r\n", ""},
        {"BITOP OR to none", ":0\r\n", "0 BITOP OR to none\n"},
        {"BITOP OR to none", ":0\r\n", ""},
        {"BITOP NAND to k", SYNTAX, ""},
        {"RPUSH l 1", NULL, NULL},
        {"BITOP OR to k l", WRONGTYPE, ""},
        {"BITOP OR l k", ":6\r\n", NULL},
        {"TYPE l", "+string\r\n", ""},
    };
    RUN_ROWS(rows);
}

static void fields_of_bits(void **state)
{
    (void)state;
    static const struct row rows[] = {
        {"BITFIELD a", "*0\r\n", ""},
        {"BITFIELD a GET u8 0", "*1\r\n:0\r\n", ""},
        {"EXISTS a", ":0\r\n", ""},
        {"BITFIELD a SET i5 100 -16 GET u4 0 INCRBY i5 100 3", "*3\r\n:0\r\n:0\r\n:-13\r\n", NULL},
        {"BITFIELD a OVERFLOW SAT INCRBY i5 100 -100 OVERFLOW FAIL INCRBY i5 100 -1 OVERFLOW WRAP INCRBY i5 100 -1",
         "*3\r\n:-16\r\n$-1\r\n:15\r\n", NULL},
        {"BITFIELD a SET u8 #1 300 GET u8 8 GET u8 #1", "*3\r\n:0\r\n:44\r\n:44\r\n", NULL},
        {"BITFIELD a OVERFLOW SAT SET u8 0 -1 GET u8 0", "*2\r\n:0\r\n:255\r\n", NULL},
        {"BITFIELD a OVERFLOW SAT SET i47 0 -9223372036854775808 GET i47 0",
         "*2\r\n:-455266533376\r\n:70368744177663\r\n", NULL},
        {"BITFIELD a SET i64 3 -9223372036854775808 INCRBY i64 3 -1", "*2\r\n:-1048576\r\n:9223372036854775807\r\n",
         NULL},
        {"BITFIELD a SET u8 0 0 SET u8 0 0", "*2\r\n:111\r\n:0\r\n", NULL},
        {"BITFIELD a SET u8 0 0", "*1\r\n:0\r\n", ""},
        /* It grew although nothing could be written: the copy has the same length. */
        {"BITFIELD b OVERFLOW FAIL SET u2 0 9", "*1\r\n$-1\r\n", "0 BITFIELD b OVERFLOW FAIL SET u2 0 9\n"},
        {"STRLEN b", ":1\r\n", ""},
        {"BITFIELD a GET u64 0",
         "-ERR Invalid bitfield type. Use something like i16 u8. Note that u64 is not supported but i64 is.\r\n", ""},
        {"BITFIELD a GET u8 -1", "-ERR bit offset is not an integer or out of range\r\n", ""},
        {"BITFIELD a GET u8 #9223372036854775807", "-ERR bit offset is not an integer or out of range\r\n", ""},
        {"BITFIELD a SET u8 0 x", NOT_INT, ""},
        {"BITFIELD a OVERFLOW x", "-ERR Invalid OVERFLOW type specified\r\n", ""},
        {"BITFIELD a OVERFLOW", SYNTAX, ""},
        {"BITFIELD a SET u8 0", SYNTAX, ""},
        {"BITFIELD_RO a GET u8 #1", NULL, ""},
        {"BITFIELD_RO a SET u8 0 1", "-ERR BITFIELD_RO only supports the GET subcommand\r\n", ""},
        {"RPUSH l 1", NULL, NULL},
        {"BITFIELD l GET u8 0", WRONGTYPE, ""},
        {"BITFIELD l SET u8 0 0", WRONGTYPE, ""},
    };
    RUN_ROWS(rows);
}

static void events_are_told(void **state)
{
    (void)state;
    static const struct {
        const char *command, *events;
    } rows[] = {
        {"SET a 1 EX 10", "new a, set a, expire a"},
        {"GETEX a PERSIST", "persist a"},
        {"INCR a", "incrby a"},
        {"INCRBYFLOAT a 1", "incrbyfloat a"},
        {"APPEND a 1", "append a"},
        {"SETRANGE a 0 1", "setrange a"},
        {"SETBIT a 0 1", "setbit a"},
        {"SETBIT a 0 1", ""},
        {"BITFIELD a SET u8 0 1", "setbit a"},
        {"GETEX a PXAT 1", "del a"},
        {"MSET a 1 b 2", "new a, set a, new b, set b"},
        {"GETSET a 1", "set a"},
        {"GETDEL a", "del a"},
        {"BITOP OR b b", "set b"},
        {"BITOP OR b a", "keymiss a, del b"},
        {"GET a", "keymiss a"},
    };
    struct fixture *f = fixture_new();
    struct client *listener = fixture_client(f);
    run(f, "CONFIG SET notify-keyspace-events EAmn");
    client_run(listener, "PSUBSCRIBE *");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        run(f, rows[i].command);
        /* *4 $8 pmessage $1 * $n __keyevent@0__:name $n key */
        struct slice rest = slice_of(client_read(listener)), line;
        struct buf told = {0};
        for (size_t at = 0; rest.n > 0; at++) {
            line = slice_trim(slice_cut(&rest, '\n'));
            if (at % 9 == 6)
                buf_printf(&told, "%s%.*s", told.n > 0 ? ", " : "", (int)line.n - 15, line.p + 15);
            if (at % 9 == 8)
                buf_printf(&told, " %.*s", (int)line.n, line.p);
        }
        assert_string_equal(buf_str(&told), rows[i].events);
        buf_free(&told);
    }
    fixture_free(f);
}

/* Random commands over few keys: whatever they do, who gets only the effects has the same. */
static void a_copy_follows(void **state)
{
    (void)state;
    static const char *const commands[] = {
        "SET %k %v",
        "SET %k %v KEEPTTL",
        "SET %k %v EX 100 GET",
        "SETNX %k %v",
        "GETSET %k %v",
        "GETDEL %k",
        "GETEX %k PX 5000",
        "GETEX %k PERSIST",
        "MSET %k %v %k %v",
        "MSETNX %k %v %k %v",
        "APPEND %k %v",
        "SETRANGE %k %n %v",
        "INCRBY %k %n",
        "DECR %k",
        "INCRBYFLOAT %k 0.%n",
        "SETBIT %k %n 1",
        "BITOP XOR %k %k %k",
        "BITOP NOT %k %k",
        "BITFIELD %k SET u9 %n %n INCRBY i%n #%n %v",
        "PSETEX %k %n %v",
        "BITFIELD %k OVERFLOW FAIL INCRBY i7 %n %v",
    };
    struct rng rng;
    rng_seed(&rng, 99);
    for (int round = 0; round < 20; round++) {
        struct fixture *f = fixture_new();
        for (int i = 0; i < 1000; i++) {
            struct buf line = {0};
            for (const char *p = commands[rng_below(&rng, sizeof commands / sizeof commands[0])]; *p != '\0'; p++) {
                if (*p != '%')
                    buf_putc(&line, *p);
                else if (*++p == 'k')
                    buf_printf(&line, "key%d", (int)rng_below(&rng, 5));
                else if (*p == 'n' || rng_below(&rng, 2) == 0)
                    buf_printf(&line, "%d", (int)rng_below(&rng, 70));
                else
                    buf_printf(&line, "%.*s", (int)rng_below(&rng, 30) + 1, "abcdefghijklmnopqrstuvwxyz012345");
            }
            run(f, buf_str(&line));
            fixture_assert_copied(f);
            if (rng_below(&rng, 50) == 0)
                fixture_forward_ms(f, (int64_t)rng_below(&rng, 3000));
            buf_free(&line);
        }
        fixture_assert_copied(f);
        assert_true(f->copied > 300);
        fixture_free(f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(set_takes_options),
        cmocka_unit_test(strings_are_set_and_read),
        cmocka_unit_test(numbers_are_counted),
        cmocka_unit_test(parts_are_read_and_written),
        cmocka_unit_test(the_longest_common_subsequence),
        cmocka_unit_test(bits_are_set_counted_and_found),
        cmocka_unit_test(fields_of_bits),
        cmocka_unit_test(events_are_told),
        cmocka_unit_test(a_copy_follows),
    };
    return cmocka_run_group_tests_name("string commands", tests, NULL, NULL);
}
