#include "nodectl/shard/at.h"

#include "common/base/text.h"
#include "nodectl/duration.h"

#include <stdio.h>
#include <string.h>

#define DAY_S 86400
#define AHEAD_MAX_MS (30LL * DAY_S * 1000)

/* Two digits, or four of a year; then the character that follows, or the end. */
static bool take_number(struct slice *rest, size_t digits, int min, int max, int *out)
{
    int n = 0;
    if (rest->n < digits)
        return false;
    for (size_t i = 0; i < digits; i++) {
        if (rest->p[i] < '0' || rest->p[i] > '9')
            return false;
        n = n * 10 + (rest->p[i] - '0');
    }
    *rest = (struct slice){rest->p + digits, rest->n - digits};
    *out = n;
    return n >= min && n <= max;
}

static bool take_char(struct slice *rest, const char *any)
{
    if (rest->n == 0 || strchr(any, *rest->p) == NULL)
        return false;
    *rest = (struct slice){rest->p + 1, rest->n - 1};
    return true;
}

static bool take_clock(struct slice rest, struct tm *t)
{
    t->tm_sec = 0;
    if (!take_number(&rest, 2, 0, 23, &t->tm_hour) || !take_char(&rest, ":") ||
        !take_number(&rest, 2, 0, 59, &t->tm_min))
        return false;
    if (rest.n > 0 && (!take_char(&rest, ":") || !take_number(&rest, 2, 0, 59, &t->tm_sec)))
        return false;
    return rest.n == 0;
}

static bool take_date(struct slice *rest, struct tm *t)
{
    bool right = take_number(rest, 4, 1970, 9999, &t->tm_year) && take_char(rest, "-") &&
                 take_number(rest, 2, 1, 12, &t->tm_mon) && take_char(rest, "-") &&
                 take_number(rest, 2, 1, 31, &t->tm_mday) && take_char(rest, "T ");
    t->tm_year -= 1900;
    t->tm_mon -= 1;
    return right;
}

/* mktime() makes another day of the 31st of November: that is no date. */
static bool to_time(const struct tm *wanted, time_t *out)
{
    struct tm t = *wanted;
    t.tm_isdst = -1;
    *out = mktime(&t);
    return *out != (time_t)-1 && t.tm_mday == wanted->tm_mday && t.tm_mon == wanted->tm_mon;
}

bool at_parse(const char *text, time_t now, time_t *at)
{
    struct slice rest = slice_of(text);
    struct tm t;
    int64_t ms;
    if (text[0] == '+') {
        bool right = duration_parse(text + 1, 0, AHEAD_MAX_MS, &ms);
        *at = now + (time_t)((right ? ms : 0) / 1000);
        return right;
    }
    localtime_r(&now, &t);
    if (rest.n > 5 && rest.p[4] == '-')
        return take_date(&rest, &t) && take_clock(rest, &t) && to_time(&t, at) && *at >= now;
    if (!take_clock(rest, &t) || !to_time(&t, at))
        return false;
    if (*at < now) {
        struct tm next = t;
        next.tm_mday++;
        next.tm_isdst = -1;
        *at = mktime(&next);
    }
    return *at != (time_t)-1 && *at >= now;
}

const char *at_left(int64_t seconds, char text[AT_LEFT_MAX])
{
    int64_t s = seconds > 0 ? seconds : 0;
    if (s >= DAY_S)
        snprintf(text, AT_LEFT_MAX, "%lldd %02lld:%02lld:%02lld", (long long)(s / DAY_S), (long long)(s / 3600 % 24),
                 (long long)(s / 60 % 60), (long long)(s % 60));
    else if (s >= 3600)
        snprintf(text, AT_LEFT_MAX, "%lld:%02lld:%02lld", (long long)(s / 3600), (long long)(s / 60 % 60),
                 (long long)(s % 60));
    else
        snprintf(text, AT_LEFT_MAX, "%lld:%02lld", (long long)(s / 60), (long long)(s % 60));
    return text;
}
