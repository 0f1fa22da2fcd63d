/* openapi.c - /openapi.json: what this interface is, for programs; api/openapi.json is the text. */
#include "api/asset.h"
#include "api/handlers.h"
#include "api/list.h"

DOCUMENT_ASSETS(ASSET_DECLARE)

void api_openapi(struct request *r)
{
    static const struct asset document[] = {DOCUMENT_ASSETS(ASSET_ROW)};

    if (query_check(r, NULL))
        asset_respond(r, document);
}
