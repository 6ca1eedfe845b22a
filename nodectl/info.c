#include "nodectl/info.h"

#include "common/base/text.h"

struct slice info_field(struct slice info, const char *name)
{
    while (info.n > 0) {
        struct slice value = slice_cut_line(&info);
        if (slice_is(slice_cut(&value, ':'), name) && value.p != NULL)
            return value;
    }
    return (struct slice){NULL, 0};
}

int64_t info_number(struct slice info, const char *name, int64_t absent)
{
    int64_t v;
    return text_i64(info_field(info, name), &v) ? v : absent;
}
