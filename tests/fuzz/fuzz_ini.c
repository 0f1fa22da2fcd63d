/* The configuration file: any text is settings or one error, and settings keep to their ranges. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct config config = {.workers = 1};
    struct prilora_error err = {0};
    char *text = malloc(size + 1);
    enum prilora_status rc;

    if (!text)
        return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    rc = config_read_text(&config, text, "fuzz", &err);
    assert(rc == PRILORA_OK || err.message[0]);
    assert(config.workers >= 1 && config.workers <= 256);
    config_free(&config);
    free(text);
    return 0;
}
