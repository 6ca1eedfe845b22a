/* A document as YAML: read back by the same library's parser, every value is what it was. */
#include "nodectl/yaml.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static char *text; /* of the last call; freed by the next */

static const char *written(const char *json)
{
    size_t n;
    json_t *v = json_loads(json, JSON_DECODE_ANY, NULL);
    assert_non_null(v);
    free(text);
    FILE *f = open_memstream(&text, &n);
    yaml_write(v, f);
    assert_int_equal(fclose(f), 0);
    json_decref(v);
    return text;
}

static void shapes(void **state)
{
    (void)state;
    assert_string_equal(written("{\"name\":\"orders\",\"shards\":[{\"slots\":5461,\"ok\":true,\"to\":null}],"
                                "\"none\":[],\"empty\":{}}"),
                        "name: orders\nshards:\n- slots: 5461\n  ok: true\n  to: null\nnone: []\nempty: {}\n");
}

static void texts_that_look_like_others(void **state)
{
    (void)state;
    assert_string_equal(written("[\"yes\",\"12\",\"\",\"null\",\"1e3\",\"-\",\"~\",\"127.0.0.1:7001\"]"),
                        "- \"yes\"\n- \"12\"\n- \"\"\n- \"null\"\n- \"1e3\"\n- \"-\"\n- \"~\"\n- \"127.0.0.1:7001\"\n");
}

static void hostile_texts(void **state)
{
    (void)state;
    assert_string_equal(written("{\"a: b\":\"# x\",\"k\":\"a\\nb\"}"), "'a: b': '# x'\nk: 'a\n\n  b'\n");
}

static void done(void)
{
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(shapes),
        cmocka_unit_test(texts_that_look_like_others),
        cmocka_unit_test(hostile_texts),
    };
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    done();
    return failed;
}
