/* tree.h - what server.c and client.c share. */
#ifndef TEST_TREE_H
#define TEST_TREE_H

/* Removes a folder and all in it. */
void test_tree_remove(const char *folder);
/* Frees the last reply and libcurl's handle. */
void test_client_free(void);

#endif
