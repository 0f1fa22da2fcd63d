/*
 * assets.S - the files that the program has inside, as they are and compressed, between two symbols
 * each. The assembler finds them in the build folder (-I). Nothing here is of one machine.
 */
#include "api/assets.h"

    .macro blob symbol, file
    .balign 16
    .globl \symbol
    .hidden \symbol
\symbol:
    .incbin "\file"
    .globl \symbol\()_end
    .hidden \symbol\()_end
\symbol\()_end:
    .endm

    .macro asset symbol, file
    blob asset_\symbol, "\file"
    blob asset_\symbol\()_gz, "\file\().gz"
    .endm

    .section .rodata
#define ASSET(symbol, file, media_type) asset symbol, file;
    DASHBOARD_ASSETS(ASSET)
    DOCUMENT_ASSETS(ASSET)

    .section .note.GNU-stack, "", %progbits
