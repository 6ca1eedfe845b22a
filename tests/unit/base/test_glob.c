#include "common/base/text.h"

#include "common/base/rng.h"

#include <setjmp.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

/* Each answer is that of Redis 7.0.15 to KEYS with this pattern over this one key, but for "***" over the empty key,
 * which Redis misses. */
static void known_patterns(void **state)
{
    (void)state;
    static const struct {
        const char *pattern, *s;
        bool fits;
    } rows[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "abc", true},
        {"**", "abc", true},
        {"***", "", true},
        {"?", "", false},
        {"?", "a", true},
        {"?", "ab", false},
        {"a*", "abc", true},
        {"*c", "abc", true},
        {"*b*", "abc", true},
        {"a*c", "abbbc", true},
        {"a*c", "abbb", false},
        {"a*?", "a", false},
        {"h[ae]llo", "hello", true},
        {"h[ae]llo", "hillo", false},
        {"h[^e]llo", "hallo", true},
        {"h[^e]llo", "hello", false},
        {"h[a-b]llo", "hbllo", true},
        {"h[b-a]llo", "hallo", true},
        {"h[a-b]llo", "hcllo", false},
        {"[]", "a", false},
        {"[^]", "a", true},
        {"[]a", "a", false},
        {"[", "a", false},
        {"[a", "a", true},
        {"[a", "b", false},
        {"[^", "a", true},
        {"[a-", "-", true},
        {"[a-", "a", true},
        {"[a-", "b", false},
        {"[a-]", "]", true},
        {"[a-]", "b", false},
        {"[a-]", "-", false},
        {"[a-]", "`", true},
        {"[\\]]", "]", true},
        {"[\\a-c]", "b", false},
        {"[\\a-c]", "-", true},
        {"[a\\", "\\", true},
        {"[[]", "[", true},
        {"[*]", "*", true},
        {"[*]", "a", false},
        {"[!a]", "!", true},
        {"\\*", "*", true},
        {"\\*", "a", false},
        {"\\", "\\", true},
        {"a\\", "a\\", true},
        {"\\\\", "\\", true},
        {"\\a", "a", true},
        {"a", "A", false},
        {"+switch-*", "+switch-master", true},
        {"*[", "a", false},
        {"*[^a", "ab", true},
        {"a[b]*[d]", "abcd", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (text_glob(slice_of(rows[i].pattern), slice_of(rows[i].s), false) != rows[i].fits)
            fail_msg("\"%s\" against \"%s\" is not %d", rows[i].pattern, rows[i].s, rows[i].fits);
    assert_true(text_glob(slice_of("AbC[D-F]\\G"), slice_of("aBceg"), true));
    assert_true(text_glob(slice_of("[a-c]"), slice_of("B"), true));
    assert_false(text_glob(slice_of("[a-c]"), slice_of("B"), false));
    assert_true(text_glob((struct slice){"a?\0", 3}, (struct slice){"a\0\0", 3}, false));
    assert_true(text_glob(slice_of("[\xf0-\xff]"), slice_of("\xf8"), false));
}

/* The definition itself, with every way that a '*' can go tried. Elements are cut off as the comment at text_glob()
 * says. */
static bool naive(const char *p, size_t pn, const char *s, size_t sn)
{
    if (pn == 0)
        return sn == 0;
    if (*p == '*')
        return naive(p + 1, pn - 1, s, sn) || (sn > 0 && naive(p, pn, s + 1, sn - 1));
    if (sn == 0)
        return false;
    if (*p == '?')
        return naive(p + 1, pn - 1, s + 1, sn - 1);
    if (*p == '\\' && pn >= 2)
        return p[1] == *s && naive(p + 2, pn - 2, s + 1, sn - 1);
    if (*p != '[')
        return *p == *s && naive(p + 1, pn - 1, s + 1, sn - 1);
    size_t i = 1;
    bool negated = i < pn && p[i] == '^', has = false;
    i += negated;
    for (; i < pn && p[i] != ']'; i++) {
        if (p[i] == '\\' && i + 1 < pn) {
            has |= p[++i] == *s;
        } else if (i + 2 < pn && p[i + 1] == '-') {
            char low = p[i] < p[i + 2] ? p[i] : p[i + 2], high = p[i] < p[i + 2] ? p[i + 2] : p[i];
            has |= low <= *s && *s <= high;
            i += 2;
        } else {
            has |= p[i] == *s;
        }
    }
    i += i < pn;
    return has != negated && naive(p + i, pn - i, s + 1, sn - 1);
}

static void random_patterns_agree_with_a_naive_matcher(void **state)
{
    (void)state;
    static const char pattern_bytes[] = "aabbc**??[]^-\\", bytes[] = "aabbc-]\\";
    struct rng r;
    rng_seed(&r, 4);
    int fits = 0;
    for (int i = 0; i < 600000; i++) {
        char p[10], s[8];
        size_t pn = rng_below(&r, sizeof p + 1), sn = rng_below(&r, sizeof s + 1);
        for (size_t j = 0; j < pn; j++)
            p[j] = pattern_bytes[rng_below(&r, sizeof pattern_bytes - 1)];
        for (size_t j = 0; j < sn; j++)
            s[j] = bytes[rng_below(&r, sizeof bytes - 1)];
        bool expected = naive(p, pn, s, sn);
        fits += expected;
        if (text_glob((struct slice){p, pn}, (struct slice){s, sn}, false) != expected)
            fail_msg("\"%.*s\" against \"%.*s\" is not %d", (int)pn, p, (int)sn, s, expected);
    }
    assert_true(fits > 20000);
}

/* A matcher that tries every way needs longer than the universe for these; ours a few milliseconds. */
static void many_stars_take_bounded_time(void **state)
{
    (void)state;
    static char p[4001], s[20001];
    for (size_t i = 0; i + 1 < sizeof p; i += 2)
        memcpy(p + i, "*a", 2);
    p[sizeof p - 1] = 'b';
    memset(s, 'a', sizeof s);
    clock_t start = clock();
    assert_false(text_glob((struct slice){p, sizeof p}, (struct slice){s, sizeof s}, false));
    for (size_t i = 0; i + 1 < sizeof p; i++)
        p[i] = '*';
    assert_false(text_glob((struct slice){p, sizeof p}, (struct slice){s, sizeof s}, false));
    assert_true(clock() - start < 5 * CLOCKS_PER_SEC);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_patterns),
        cmocka_unit_test(random_patterns_agree_with_a_naive_matcher),
        cmocka_unit_test(many_stars_take_bounded_time),
    };
    return cmocka_run_group_tests_name("glob", tests, NULL, NULL);
}
