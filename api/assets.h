/*
 * assets.h - the lists of files that the program has inside: X(symbol, file name, media type). Read
 * by the assembler, too.
 */
#ifndef ASSETS_H
#define ASSETS_H

#include "api/dashboard/assets.h"

/* The description of the interface; api/openapi.json. */
#define DOCUMENT_ASSETS(X) X(openapi_json, "openapi.json", "application/json")

#endif
