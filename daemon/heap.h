/* heap.h - how the C library's allocator is to behave in a program that runs for months. */
#ifndef HEAP_H
#define HEAP_H

/* Before the first thread is made. Nothing where the C library is another than glibc. */
void heap_configure(void);

#endif
