/*
 * etmem in Rust: a project, as a plugin sees it.
 *
 * Licence: Apache-2.0
 */
#ifndef ETMEMD_PROJECT_EXP_H
#define ETMEMD_PROJECT_EXP_H

#include "etmemd_exp.h"

struct engine;
struct project;

/* project.type: which structure project.scan_param points to. */
enum scan_type {
    PAGE_SCAN = 0,
    REGION_SCAN,
    PSI_SCAN,
    CNT_SCAN_TYPE
};

/* scan_type=page: seconds between two looks, looks in a cycle, seconds between two cycles. */
struct page_scan {
    int interval;
    int loop;
    int sleep;
};

/* scan_type=region: intervals in microseconds. */
struct region_scan {
    unsigned long sample_interval;
    unsigned long aggr_interval;
    unsigned long update_interval;
    unsigned long min_nr_regions;
    unsigned long max_nr_regions;
};

/* scan_type=psi: seconds. */
struct psi_scan {
    int interval;
};

struct project {
    char *name;
    int type;                  /* enum scan_type */
    void *scan_param;
    int sysmem_threshold;      /* percent; -1: not set */
    int swapcache_high_wmark;  /* percent */
    int swapcache_low_wmark;   /* percent */
    bool start;
    bool wmark_set;
    struct engine *engs;
    struct project *entry;     /* etmemd's own */
};

#endif
