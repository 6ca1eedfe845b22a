#include "nodectl/duration.h"

#include "common/base/text.h"

#include <string.h>

static const struct {
    const char *unit;
    int64_t ms;
} units[] = {{"ms", 1}, {"s", 1000}, {"m", 60000}, {"h", 3600000}, {"d", 86400000}, {"", 1000}};

bool duration_parse(const char *text, int64_t min_ms, int64_t max_ms, int64_t *ms)
{
    size_t digits = strspn(text, "0123456789");
    uint64_t value;
    if (!text_u64((struct slice){text, digits}, &value))
        return false;
    for (size_t i = 0; i < sizeof units / sizeof *units; i++) {
        int64_t whole;
        if (strcmp(text + digits, units[i].unit) != 0)
            continue;
        if (value > INT64_MAX || __builtin_mul_overflow((int64_t)value, units[i].ms, &whole) || whole < min_ms ||
            whole > max_ms)
            return false;
        *ms = whole;
        return true;
    }
    return false;
}
