/* suggest.h - what somebody who wrote this probably meant. */
#ifndef SUGGEST_H
#define SUGGEST_H

/* The nearest of `names` (NULL-terminated) by edits, NULL if none is near. */
const char *suggest(const char *word, const char *const *names);

#endif
