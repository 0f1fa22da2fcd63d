/* architecture.c - the architectures there are. */
#include "model/architecture.h"

#include <string.h>

static const struct pl_architecture *const architectures[] = {
    &pl_architecture_deberta_v2, &pl_architecture_bert,    &pl_architecture_distilbert,
    &pl_architecture_electra,    &pl_architecture_roberta, &pl_architecture_xlm_roberta,
    &pl_architecture_camembert,
};

const struct pl_architecture *pl_architecture_find(const char *model_type)
{
    for (size_t i = 0; i < sizeof architectures / sizeof *architectures; i++)
        if (strcmp(architectures[i]->model_type, model_type) == 0)
            return architectures[i];
    return NULL;
}
