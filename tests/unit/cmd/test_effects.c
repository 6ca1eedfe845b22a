/* Whoever runs nothing but the effects holds the same dataset: commands of chance of every family, in transactions and
 * out of them, with keys that expire and clients that wait, and a copy that is fed the effects. */
#include "noded/cmd/block.h"
#include "tests/unit/cmd/engine_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define CLIENTS 4

/* $s $l $e $h $z: a key that is mostly of this type; $k: any; $d: a database; $n: a small number; $m: a word. */
static const char *const templates[] = {
    "SET $s $m",
    "SET $s $n EX 5",
    "SET $s $m PX $n",
    "SET $s $m KEEPTTL GET",
    "SET $k $n NX",
    "SET $s $m XX EX 100",
    "SETEX $s 3 $m",
    "PSETEX $s 20 $m",
    "GETSET $s $m",
    "GETDEL $s",
    "GETEX $s PX 30",
    "GETEX $s PERSIST",
    "GETEX $s EXAT 1",
    "APPEND $s $m",
    "SETRANGE $s 3 $m",
    "INCR $s",
    "INCRBY $s $n",
    "DECRBY $s $n",
    "INCRBYFLOAT $s 0.1",
    "MSET $s $m $s $n",
    "MSETNX $s $m $s $n",
    "SETBIT $s $n 1",
    "BITOP XOR $s $s $s",
    "BITFIELD $s INCRBY u8 $n 3 OVERFLOW FAIL INCRBY u2 0 3",
    "GET $s",
    "LPUSH $l $m $n",
    "RPUSH $l $m $m $n",
    "LPUSHX $l $m",
    "LPOP $l",
    "RPOP $l 2",
    "LSET $l 0 $m",
    "LINSERT $l BEFORE $m $n",
    "LREM $l -1 $m",
    "LTRIM $l 1 5",
    "LMOVE $l $l LEFT RIGHT",
    "RPOPLPUSH $l $l",
    "LMPOP 2 $l $l RIGHT COUNT 2",
    "BLPOP $l $l 0",
    "BLMOVE $l $l RIGHT LEFT 0",
    "BLMPOP 0 2 $l $l LEFT COUNT 3",
    "BRPOPLPUSH $l $l 0",
    "BRPOP $l 1",
    "SADD $e $m $n $n",
    "SREM $e $m",
    "SPOP $e",
    "SPOP $e 2",
    "SMOVE $e $e $m",
    "SUNIONSTORE $e $e $e",
    "SINTERSTORE $e $e $e",
    "SDIFFSTORE $k $e $e",
    "HSET $h $m $n $n $m",
    "HSETNX $h $m $n",
    "HDEL $h $m",
    "HINCRBY $h $n 5",
    "HINCRBYFLOAT $h $n 1.5",
    "ZADD $z $n $m $n $n",
    "ZADD $z GT CH $n $m",
    "ZADD $z INCR 1 $m",
    "ZINCRBY $z 2.5 $m",
    "ZREM $z $m",
    "ZPOPMIN $z",
    "ZPOPMAX $z 2",
    "ZMPOP 2 $z $z MIN COUNT 2",
    "BZPOPMIN $z 0",
    "BZPOPMAX $z $z 1",
    "BZMPOP 0 1 $z MAX",
    "ZRANGESTORE $z $z 0 3",
    "ZUNIONSTORE $z 2 $z $e WEIGHTS 1 2",
    "ZINTERSTORE $z 2 $z $z",
    "ZDIFFSTORE $z 2 $z $z",
    "ZREMRANGEBYRANK $z 0 1",
    "ZREMRANGEBYSCORE $z 1 4",
    "DEL $k $k",
    "UNLINK $k",
    "EXPIRE $k 10",
    "PEXPIRE $k $n",
    "PEXPIRE $k 50 GT",
    "EXPIREAT $k 1",
    "PERSIST $k",
    "RENAME $k $k",
    "RENAMENX $k $k",
    "COPY $k $k REPLACE",
    "COPY $k $k DB $d",
    "MOVE $k $d",
    "SELECT $d",
    "SWAPDB $d $d",
    "SORT $l ALPHA STORE $l",
    "SORT $e ALPHA DESC STORE $l",
    "TOUCH $k",
    "RANDOMKEY",
    "TTL $k",
    "FLUSHDB",
    "PUBLISH $m $m",
    "MULTI",
    "EXEC",
    "EXEC",
    "DISCARD",
    "WATCH $k",
};

static void put_key(struct buf *out, struct rng *rng, char type)
{
    static const char types[] = "slehz";
    if (type == 'k' || rng_below(rng, 12) == 0)
        type = types[rng_below(rng, 5)];
    buf_printf(out, "%c%d", type, (int)rng_below(rng, 3));
}

static void put_template(struct buf *out, struct rng *rng, const char *t)
{
    static const char *const words[] = {
        "a",  "b",    "c",   "d",
        "10", "\"\"", "3.5", "longer-than-any-listpack-will-take-0123456789-0123456789-0123456789-012"};
    for (; *t != '\0'; t++) {
        if (*t != '$') {
            buf_putc(out, *t);
            continue;
        }
        switch (*++t) {
        case 'n': buf_printf(out, "%d", (int)rng_below(rng, 12)); break;
        case 'm': buf_puts(out, words[rng_below(rng, 8)]); break;
        case 'd': buf_printf(out, "%d", (int)rng_below(rng, 3)); break;
        default: put_key(out, rng, *t); break;
        }
    }
}

static void run_some(uint64_t seed, int commands)
{
    struct fixture *f = fixture_new();
    f->e->config.limits.hash_max_listpack_entries = 4;
    f->e->config.limits.zset_max_listpack_entries = 4;
    f->e->config.limits.set_max_intset_entries = 4;
    f->e->config.limits.list_max_listpack_size = 3;
    struct rng rng;
    rng_seed(&rng, seed);
    for (int i = 1; i < CLIENTS; i++)
        fixture_client(f);
    struct buf command = {0};
    for (int i = 0; i < commands; i++) {
        struct client *c = &f->clients[rng_below(&rng, CLIENTS)];
        if (c->s->waiting == NULL) {
            buf_clear(&command);
            put_template(&command, &rng, templates[rng_below(&rng, sizeof templates / sizeof templates[0])]);
            client_run(c, buf_str(&command));
        } else if (rng_below(&rng, 4) == 0) {
            nd_unblock(c->s, NULL); /* else all of them would wait in the end */
        }
        for (int j = 0; j < CLIENTS; j++)
            client_read(&f->clients[j]);
        if (rng_below(&rng, 10) == 0)
            fixture_forward_ms(f, (int64_t)rng_below(&rng, 30));
        buf_clear(&f->effects);
        if (i % 50 == 0)
            fixture_assert_copied(f);
    }
    fixture_assert_copied(f);
    assert_true(f->copied > (size_t)commands / 4);
    buf_free(&command);
    fixture_free(f);
}

static void a_copy_follows_by_effects_alone(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 10; seed++)
        run_some(seed, 6000);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_copy_follows_by_effects_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
