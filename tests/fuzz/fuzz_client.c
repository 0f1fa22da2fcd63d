/*
 * fuzz_client.c - any bytes as a daemon's answer to `prilora`: nothing that is shown of it may be a
 * control character or turn the direction of writing.
 */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "api/cli/cli.h"
#include "api/cli/json.h"
#include "api/cli/jobs.h"
#include "api/cli/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* U+202A to U+202E and U+2066 to U+2069 */
static bool turns(const unsigned char *at)
{
    return at[0] == 0xe2 && ((at[1] == 0x80 && at[2] >= 0xaa && at[2] <= 0xae) ||
                             (at[1] == 0x81 && at[2] >= 0xa6 && at[2] <= 0xa9));
}

static void check_clean(const char *text)
{
    for (const unsigned char *at = (const unsigned char *)text; *at; at++)
        assert(*at >= ' ' && *at != 0x7f && !(*at == 0xc2 && at[1] >= 0x80 && at[1] <= 0x9f) &&
               !turns(at));
}

static void show_text(const char *text)
{
    char *clean = text_clean(text), *cut;
    size_t columns = strlen(text) % 40;

    check_clean(clean);
    cut = text_cut(clean, columns);
    check_clean(cut);
    assert(text_width(cut) <= columns || text_width(cut) <= text_width(clean));
    free(cut);
    free(clean);
}

static void show_json(const json_t *answer)
{
    static const char *const paths[] = {"error.message", "data.0.id", "id", "status"};
    char *shown = json_shown(answer), *metrics = job_metrics(answer);
    double value;

    show_text(shown);
    if (metrics)
        show_text(metrics);
    for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
        show_text(json_text(answer, paths[i]));
        text_count((double)json_whole(answer, paths[i]));
        text_time(json_whole(answer, paths[i]));
        text_minute(json_whole(answer, paths[i]));
        text_bytes(json_whole(answer, paths[i]));
        if (json_number(answer, paths[i], &value)) {
            text_real(value);
            text_clock(value);
            text_count(value);
        }
    }
    free(metrics);
    free(shown);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    json_t *answer = json_loadb((const char *)data, size, JSON_DECODE_ANY, NULL);
    char *text = must(malloc(size + 1));

    memcpy(text, data, size);
    text[size] = '\0';
    show_text(text);
    if (answer)
        show_json(answer);
    json_decref(answer);
    free(text);
    return 0;
}
