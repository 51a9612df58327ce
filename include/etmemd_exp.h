/*
 * etmem in Rust: what the headers for programs and for plugins share.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_EXP_H
#define ETMEMD_EXP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The size of a page in a list of pages: the level of the page table whose entry maps it. */
enum page_type {
    PTE_TYPE = 0,  /* a base page: 4 KiB on x86-64 */
    PMD_TYPE,      /* 2 MiB */
    PUD_TYPE,      /* 1 GiB */
    PAGE_TYPE_INVAL
};

/* A page that is in memory, in a list in ascending order of address. */
struct page_refs {
    uint64_t addr;
    int count;     /* sum over the scans: 0 untouched, 1 read, 3 written */
    enum page_type type;
    struct page_refs *next;
};

#endif
