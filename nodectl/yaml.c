#include "nodectl/yaml.h"

#include <inttypes.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <yaml.h>

/* A failure to write is told by the file's own error flag, which is looked at before the program ends. */
static void put(yaml_emitter_t *e, yaml_event_t *event)
{
    (void)yaml_emitter_emit(e, event);
}

static void put_scalar(yaml_emitter_t *e, const char *text, size_t n, bool plain)
{
    yaml_event_t event;
    yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)(uintptr_t)text, (int)n, plain, !plain,
                                 plain ? YAML_PLAIN_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE);
    put(e, &event);
}

/* A text that a reader of YAML would take for something else ("yes", "12", "null", "") stands in quotes. */
static void put_string(yaml_emitter_t *e, const char *text, size_t n)
{
    static const char *const others[] = {"",   "~",   "null", "true", "false", "yes", "no",
                                         "on", "off", "y",    "n",    ".inf",  ".nan"};
    bool quoted = n > 0 && strchr("0123456789+-.=<", text[0]) != NULL;
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        quoted |= n == strlen(others[i]) && strncasecmp(text, others[i], n) == 0;
    yaml_event_t event;
    yaml_scalar_event_initialize(&event, NULL, NULL, (yaml_char_t *)(uintptr_t)text, (int)n, !quoted, true,
                                 quoted ? YAML_DOUBLE_QUOTED_SCALAR_STYLE : YAML_ANY_SCALAR_STYLE);
    put(e, &event);
}

static void put_number(yaml_emitter_t *e, const json_t *v)
{
    char text[64];
    int n = json_is_integer(v) ? snprintf(text, sizeof text, "%" JSON_INTEGER_FORMAT, json_integer_value(v))
                               : snprintf(text, sizeof text, "%.17g", json_real_value(v));
    put_scalar(e, text, (size_t)n, true);
}

static void put_value(yaml_emitter_t *e, const json_t *v);

static void put_list(yaml_emitter_t *e, const json_t *list)
{
    yaml_event_t event;
    size_t i;
    const json_t *v;
    yaml_sequence_style_t style = json_array_size(list) == 0 ? YAML_FLOW_SEQUENCE_STYLE : YAML_BLOCK_SEQUENCE_STYLE;
    yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, style);
    put(e, &event);
    json_array_foreach(list, i, v)
    {
        put_value(e, v);
    }
    yaml_sequence_end_event_initialize(&event);
    put(e, &event);
}

static void put_object(yaml_emitter_t *e, const json_t *o)
{
    yaml_event_t event;
    const char *key;
    json_t *v;
    yaml_mapping_style_t style = json_object_size(o) == 0 ? YAML_FLOW_MAPPING_STYLE : YAML_BLOCK_MAPPING_STYLE;
    yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, style);
    put(e, &event);
    json_object_foreach((json_t *)(uintptr_t)o, key, v)
    {
        put_string(e, key, strlen(key));
        put_value(e, v);
    }
    yaml_mapping_end_event_initialize(&event);
    put(e, &event);
}

static void put_value(yaml_emitter_t *e, const json_t *v)
{
    if (json_is_object(v))
        put_object(e, v);
    else if (json_is_array(v))
        put_list(e, v);
    else if (json_is_string(v))
        put_string(e, json_string_value(v), json_string_length(v));
    else if (json_is_number(v))
        put_number(e, v);
    else if (json_is_boolean(v))
        put_scalar(e, json_is_true(v) ? "true" : "false", json_is_true(v) ? 4 : 5, true);
    else
        put_scalar(e, "null", 4, true);
}

void yaml_write(const json_t *document, FILE *out)
{
    yaml_emitter_t e;
    yaml_event_t event;
    yaml_emitter_initialize(&e);
    yaml_emitter_set_output_file(&e, out);
    yaml_emitter_set_unicode(&e, 1);
    yaml_emitter_set_width(&e, -1);
    yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING);
    put(&e, &event);
    yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1);
    put(&e, &event);
    put_value(&e, document);
    yaml_document_end_event_initialize(&event, 1);
    put(&e, &event);
    yaml_stream_end_event_initialize(&event);
    put(&e, &event);
    yaml_emitter_flush(&e);
    yaml_emitter_delete(&e);
}
