/* Files of operators that nodectl changes in place: nodectl.conf, where a fleet is recorded, and, after an odd byte,
 * sentineld.conf, whose list of supervisors is replaced. Of what libconfig reads comes what libconfig reads, with the
 * change in it; what was put in can be taken out, and then the file says what it said before.
 * fuzz.sh: at most 8000 inputs. */
#include "nodectl/local/registry_text.h"
#include "nodectl/supervisor/list_text.h"

#include <libconfig.h>
#include <sanitizer/lsan_interface.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

/* How many entries the list has; -1: libconfig does not read the text. */
static int entries(const char *text, const char *list)
{
    config_t c;
    config_init(&c);
    __lsan_disable(); /* libconfig loses a string that does not end */
    const config_setting_t *s = config_read_string(&c, text) ? config_lookup(&c, list) : NULL;
    __lsan_enable();
    int n = config_error_type(&c) != CONFIG_ERR_NONE ? -1 : s != NULL ? config_setting_length(s) : 0;
    config_destroy(&c);
    return n;
}

static void record(const char *text)
{
    static const char entry[] = "{ name = \"the-new-one\"; seeds = [ \"h:1\" ]; }";
    struct buf with = {0}, without = {0};
    int before = entries(text, "fleets");
    if (before < 0)
        return;
    if (registry_text_add(slice_of(text), slice_of(entry), &with)) {
        if (entries(buf_str(&with), "fleets") != before + 1)
            abort();
        if (!registry_text_remove(buf_slice(&with), "the-new-one", &without) ||
            entries(buf_str(&without), "fleets") != before)
            abort();
    } else if (with.n > 0) {
        abort();
    }
    buf_free(&with);
    buf_free(&without);
}

static void replace(const char *text)
{
    struct addr list[2];
    struct buf out = {0};
    addr_set(&list[0], slice_of("a"), 1);
    addr_set(&list[1], slice_of("::1"), 2);
    if (entries(text, "supervisors") < 0)
        return;
    if (list_text_replace(slice_of(text), list, 2, &out)) {
        if (entries(buf_str(&out), "supervisors") != 2)
            abort();
    } else if (out.n > 0) {
        abort();
    }
    buf_free(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
    /* libconfig would read another file by @include, and stops at a NUL. */
    if (n < 1 || memchr(data + 1, '\0', n - 1) != NULL || memchr(data + 1, '@', n - 1) != NULL)
        return 0;
    struct buf text = {0};
    buf_put(&text, data + 1, n - 1);
    if (data[0] % 2 == 0)
        record(buf_str(&text));
    else
        replace(buf_str(&text));
    buf_free(&text);
    return 0;
}
