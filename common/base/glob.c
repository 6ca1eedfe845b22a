#include "common/base/text.h"

static char fold(char c, bool nocase)
{
    return (char)(nocase && c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

/* [...] at p->p[0] == '[': whether c is in it. *p moves behind it. Redis's reading: '^' first negates, a backslash
 * takes the next byte as it is, a range may be written backwards, and a class without its ']' ends with the pattern. */
static bool class_has(struct slice *pattern, char c, bool nocase)
{
    const char *p = pattern->p + 1, *end = pattern->p + pattern->n;
    bool negated = p < end && *p == '^';
    bool found = false;
    p += negated;
    unsigned char want = (unsigned char)fold(c, nocase);
    while (p < end && *p != ']') {
        if (*p == '\\' && end - p >= 2) {
            found |= fold(p[1], nocase) == fold(c, nocase);
            p += 2;
        } else if (end - p >= 3 && p[1] == '-') {
            unsigned char from = (unsigned char)fold(p[0], nocase), to = (unsigned char)fold(p[2], nocase);
            found |= from <= to ? from <= want && want <= to : to <= want && want <= from;
            p += 3;
        } else {
            found |= fold(*p, nocase) == fold(c, nocase);
            p++;
        }
    }
    p += p < end; /* the ']' */
    pattern->n = (size_t)(end - p);
    pattern->p = p;
    return found != negated;
}

/* Takes the first element (anything but '*') off a pattern that is not empty and says whether c fits it. */
static bool element_fits(struct slice *pattern, char c, bool nocase)
{
    if (pattern->p[0] == '[')
        return class_has(pattern, c, nocase);
    bool any = pattern->p[0] == '?';
    size_t skip = pattern->p[0] == '\\' && pattern->n >= 2;
    char want = pattern->p[skip];
    pattern->p += skip + 1;
    pattern->n -= skip + 1;
    return any || fold(want, nocase) == fold(c, nocase);
}

bool text_glob(struct slice pattern, struct slice s, bool nocase)
{
    /* Every element but '*' takes exactly one byte, so when a match fails behind a '*', only that one needs to take a
     * byte more: what an earlier '*' could take instead, the later one can take too. */
    struct slice after_star = {NULL, 0};
    size_t star_at = 0, i = 0;
    while (i < s.n || pattern.n > 0) {
        if (pattern.n > 0 && pattern.p[0] == '*') {
            pattern.p++;
            pattern.n--;
            if (pattern.n == 0)
                return true;
            after_star = pattern;
            star_at = i;
            continue;
        }
        if (i < s.n && pattern.n > 0 && element_fits(&pattern, s.p[i], nocase)) {
            i++;
            continue;
        }
        if (after_star.p == NULL || star_at >= s.n)
            return false;
        pattern = after_star;
        i = ++star_at;
    }
    return true;
}
