#include "nodectl/doctor/checks.h"

#include "common/base/addr.h"
#include "common/base/bytes.h"
#include "nodectl/past.h"
#include "nodectl/reply_json.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

static json_t *text_of(const char *fmt, va_list ap)
{
    struct buf text = {0};
    buf_vprintf(&text, fmt, ap);
    json_t *o = json_text(buf_str(&text), text.n);
    buf_free(&text);
    return o;
}

json_t *doctor_finding(json_t *findings, const char *severity, const char *check, const char *where, const char *what,
                       ...)
{
    va_list ap;
    va_start(ap, what);
    json_t *one = json_pack("{s:s, s:s, s:s, s:o, s:s}", "severity", severity, "check", check, "where", where, "what",
                            text_of(what, ap), "change", "");
    va_end(ap);
    json_array_append_new(findings, one);
    return one;
}

void doctor_change(json_t *one, const char *change, ...)
{
    va_list ap;
    va_start(ap, change);
    json_object_set_new(one, "change", text_of(change, ap));
    va_end(ap);
}

static doctor_check *const checks[] = {
    check_reach,     check_supervisors, check_quorum,      check_cluster,   check_mapping,
    check_placement, check_replication, check_persistence, check_memory,    check_timeouts,
    check_clocks,    check_kernel,      check_versions,    check_passwords,
};

json_t *doctor_findings(const json_t *facts)
{
    static const char *const order[] = {FINDING_CRITICAL, FINDING_WARNING, FINDING_NOTE};
    json_t *all = json_array(), *sorted = json_array();
    size_t i;
    json_t *one;
    for (i = 0; i < sizeof checks / sizeof checks[0]; i++)
        checks[i](facts, all);
    for (size_t k = 0; k < sizeof order / sizeof order[0]; k++) {
        json_array_foreach(all, i, one)
        {
            if (strcmp(field_text(one, "severity"), order[k]) == 0)
                json_array_append(sorted, one);
        }
    }
    json_decref(all);
    return sorted;
}

int doctor_is_ill(const json_t *findings)
{
    const json_t *worst = json_array_get(findings, 0);
    return worst != NULL && strcmp(field_text(worst, "severity"), FINDING_NOTE) != 0;
}

const json_t *doctor_info(const json_t *node)
{
    return json_object_get(node, "info");
}

const char *doctor_config(const json_t *node, const char *name)
{
    return field_text(json_object_get(node, "config"), name);
}

int doctor_is_master(const json_t *node)
{
    return strcmp(field_text(doctor_info(node), "role"), "master") == 0;
}

const char *doctor_master(const json_t *node)
{
    static char buffers[4][ADDR_TEXT_MAX];
    static unsigned at;
    struct addr a;
    if (doctor_is_master(node) || !field_addr(doctor_info(node), "master_host", "master_port", &a))
        return field_text(node, "address");
    return addr_text(&a, buffers[at++ % 4]);
}

const char *doctor_bytes(long long n)
{
    static char buffers[8][32];
    static unsigned at;
    static const char *const units[] = {"bytes", "kB", "MB", "GB", "TB"};
    char *text = buffers[at++ % 8];
    double v = (double)n;
    size_t unit = 0;
    for (; v >= 1024 && unit + 1 < sizeof units / sizeof units[0]; unit++)
        v /= 1024;
    snprintf(text, sizeof buffers[0], unit == 0 ? "%.0f %s" : "%.1f %s", v, units[unit]);
    return text;
}
