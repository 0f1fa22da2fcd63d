/* spellings.h - how a tokenizer's files spell its tokens, read without it. */
#ifndef TEST_SPELLINGS_H
#define TEST_SPELLINGS_H

#include <stddef.h>
#include <stdint.h>

struct spellings;

/* Of a folder with spm.model, vocab.txt, vocab.json or tokenizer.json, the first that is there. */
struct spellings *spellings_open(const char *folder);
void spellings_close(struct spellings *s);

/* "[MASK]" of an id that the file does not have: models of SentencePiece get that one added. */
const char *spelling_of(const struct spellings *s, int32_t id);

/* The bytes that a token of byte-level BPE stands for, into `bytes`; returns how many. */
size_t spelling_bytes(const char *spelling, char *bytes, size_t room);

#endif
