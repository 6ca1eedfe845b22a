#include "common/base/runid.h"

#include <string.h>

/* The digit in lower case, or 0 when it is none. */
static char hex_digit(char c)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'))
        return c;
    return (char)(c >= 'A' && c <= 'F' ? c + ('a' - 'A') : '\0');
}

bool runid_parse(struct slice s, runid out)
{
    runid id;
    if (s.n != RUNID_LEN)
        return false;
    for (size_t i = 0; i < RUNID_LEN; i++)
        if ((id[i] = hex_digit(s.p[i])) == '\0')
            return false;
    id[RUNID_LEN] = '\0';
    memcpy(out, id, sizeof id);
    return true;
}

void runid_draw(struct rng *r, runid out)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t bits = 0;
    for (size_t i = 0; i < RUNID_LEN; i++) {
        if (i % 16 == 0)
            bits = rng_u64(r);
        out[i] = digits[bits & 15];
        bits >>= 4;
    }
    out[RUNID_LEN] = '\0';
}

int runid_cmp(const char *a, const char *b)
{
    if (a[0] == '\0' || b[0] == '\0')
        return (a[0] == '\0') - (b[0] == '\0');
    for (;; a++, b++) {
        unsigned char x = (unsigned char)(*a >= 'A' && *a <= 'Z' ? *a + ('a' - 'A') : *a);
        unsigned char y = (unsigned char)(*b >= 'A' && *b <= 'Z' ? *b + ('a' - 'A') : *b);
        if (x != y)
            return x < y ? -1 : 1;
        if (x == '\0')
            return 0;
    }
}
