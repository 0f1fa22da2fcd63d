/* fuzz_adapter_config.c - any bytes as PEFT's adapter_config.json; its patterns are then asked. */
#include <stdint.h>

#include "train/peft_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pl_peft_config config;
    struct prilora_error err;
    double scale;

    if (pl_peft_config_parse(&config, (const char *)data, size, "input", &err) != PRILORA_OK)
        return 0;
    pl_peft_config_scale(&config, "deberta.encoder.layer.0.attention.self.query_proj", 8, &scale,
                         &err);
    pl_peft_config_free(&config);
    return 0;
}
