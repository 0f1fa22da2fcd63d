/* asset.h - answering with a file that the program has inside (assets.h lists them). */
#ifndef ASSET_H
#define ASSET_H

#include "api/assets.h"
#include "api/request.h"

struct asset_bytes {
    const unsigned char *at, *end;
};

struct asset {
    const char *name, *media_type;
    struct asset_bytes plain, compressed;
};

/* For the lists: declares what the assembler made of a file; makes a struct asset of it. */
#define ASSET_DECLARE(symbol, file, media_type)                                                    \
    extern const unsigned char asset_##symbol[], asset_##symbol##_end[], asset_##symbol##_gz[],    \
        asset_##symbol##_gz_end[];
#define ASSET_ROW(symbol, file, media_type)                                                        \
    {file,                                                                                         \
     media_type,                                                                                   \
     {asset_##symbol, asset_##symbol##_end},                                                       \
     {asset_##symbol##_gz, asset_##symbol##_gz_end}},

/* 200 with its bytes, compressed for who takes that, or 304; more headers may be added. */
void asset_respond(struct request *r, const struct asset *asset);

#endif
