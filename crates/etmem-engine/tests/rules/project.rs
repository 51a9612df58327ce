//! The table of `[project]`.

use crate::row::{INVALID, Rule};

pub(crate) const PAGE: &str = "[project]\nname=a\nloop=3\ninterval=5\nsleep=10\n";
pub(crate) const REGION: &str = "[project]\nname=a\nscan_type=region\nsample_interval=5000\naggr_interval=100000\n\
                                 update_interval=1000000\nmin_nr_regions=10\nmax_nr_regions=1000\n";
pub(crate) const UNSCANNED_PROJECT: &str = "[project]\nname=a\nscan_type=none\ninterval=5\n";
pub(crate) const PSI_PROJECT: &str = "[project]\nname=a\nscan_type=psi\ninterval=5\n";

#[test]
fn name() {
    Rule::of("name: needed, 1..=64 bytes", PAGE)
        .needs(INVALID, "every project", ["name"])
        .holds_a_name(INVALID, 2, "name");
}

#[test]
fn scan_type() {
    Rule::of("scan_type: page, region, psi or none; page if not given", PAGE)
        .takes(["scan_type=page", "interval=5"])
        .refuses(
            INVALID,
            [
                ("scan_type=pages", "f:6: [project] scan_type=pages: must be page, region, psi or none"),
                ("scan_type=Page", "f:6: [project] scan_type=Page: must be page, region, psi or none"),
                ("scan_type=", "f:6: [project] scan_type=: must be page, region, psi or none"),
                ("scan_type=region", "f:1: [project] sample_interval is missing; scan_type=region needs it"),
            ],
        );
    Rule::of("scan_type=region needs neither loop nor interval nor sleep", REGION).takes(["name=a"]);
    Rule::of("scan_type=psi needs neither loop nor sleep", PSI_PROJECT).takes(["name=a"]);
    Rule::of("scan_type=none (ours) needs neither loop nor sleep", UNSCANNED_PROJECT)
        .needs(INVALID, "scan_type=page, psi or none", ["interval"])
        .takes(["interval=1200", "interval=10ms"]);
}

#[test]
fn page_loop() {
    Rule::of("loop: needed by page, 1..=120", PAGE)
        .needs(INVALID, "scan_type=page", ["loop"])
        .takes(["loop=1", "loop=10", "loop=11", "loop=120", "loop=+3", "loop=003"])
        .refuses(
            INVALID,
            [
                ("loop=0", "f:3: [project] loop=0: must be 1..=120"),
                ("loop=121", "f:3: [project] loop=121: must be 1..=120"),
                ("loop=three", "f:3: [project] loop=three: must be 1..=120"),
                ("loop=1.5", "f:3: [project] loop=1.5: must be 1..=120"),
                ("loop=-1", "f:3: [project] loop=-1: must be 1..=120"),
                ("loop=", "f:3: [project] loop=: must be 1..=120"),
                ("loop=0x3", "f:3: [project] loop=0x3: must be 1..=120"),
                ("loop=65537", "f:3: [project] loop=65537: must be 1..=120"),
                ("loop=99999999999999999999", "f:3: [project] loop=99999999999999999999: must be 1..=120"),
                (
                    "loop=3 # times",
                    "f:3: [project] loop=3 # times: must be 1..=120; \
                     the # and what is after it belong to the value; a comment needs a line of its own",
                ),
            ],
        );
}

#[test]
fn interval() {
    Rule::of("interval: needed by page, 1..=1200 s", PAGE)
        .needs(INVALID, "scan_type=page, psi or none", ["interval"])
        .takes(["interval=1", "interval=1200", "interval=5s", "interval=10ms", "interval=1200000ms"])
        .refuses(
            INVALID,
            [
                ("interval=0", "f:4: [project] interval=0: must be 1..=1200"),
                ("interval=1201", "f:4: [project] interval=1201: must be 1..=1200"),
                ("interval=5m", "f:4: [project] interval=5m: must be 1..=1200"),
                ("interval=0s", "f:4: [project] interval=0s: must be 1..=1200"),
                (
                    "interval=9ms",
                    "f:4: [project] interval=9ms: must be 10ms..=1200000ms, or 1..=1200 for seconds",
                ),
                (
                    "interval=1.5ms",
                    "f:4: [project] interval=1.5ms: must be 10ms..=1200000ms, or 1..=1200 for seconds",
                ),
            ],
        );
    Rule::of("interval: needed by psi, 1..=1200 s", PSI_PROJECT)
        .needs(INVALID, "scan_type=page, psi or none", ["interval"])
        .takes(["interval=1", "interval=1200"])
        .refuses(
            INVALID,
            [
                ("interval=0", "f:4: [project] interval=0: must be 1..=1200"),
                ("interval=1201", "f:4: [project] interval=1201: must be 1..=1200"),
            ],
        );
}

#[test]
fn sleep() {
    Rule::of("sleep: needed by page, 1..=1200 s", PAGE)
        .needs(INVALID, "scan_type=page", ["sleep"])
        .takes(["sleep=1", "sleep=1200", "sleep=200ms", "sleep=1200s"])
        .refuses(
            INVALID,
            [
                ("sleep=0", "f:5: [project] sleep=0: must be 1..=1200"),
                ("sleep=1201", "f:5: [project] sleep=1201: must be 1..=1200"),
                ("sleep=long", "f:5: [project] sleep=long: must be 1..=1200"),
            ],
        );
}

#[test]
fn sysmem_threshold() {
    for text in [PAGE, PSI_PROJECT] {
        Rule::of("sysmem_threshold: optional, 0..=100 %", text)
            .takes(["sysmem_threshold=0", "sysmem_threshold=100"]);
    }
    Rule::of("sysmem_threshold: optional, 0..=100 %", PAGE).refuses(
        INVALID,
        [
            ("sysmem_threshold=101", "f:6: [project] sysmem_threshold=101: must be 0..=100"),
            ("sysmem_threshold=-1", "f:6: [project] sysmem_threshold=-1: must be 0..=100"),
            ("sysmem_threshold=50%", "f:6: [project] sysmem_threshold=50%: must be 0..=100"),
            ("sysmem_threshold=", "f:6: [project] sysmem_threshold=: must be 0..=100"),
        ],
    );
}

#[test]
fn swapcache_watermarks() {
    Rule::of("swapcache_high_wmark: optional with low, 1..=100 %", PAGE)
        .takes(["swapcache_high_wmark=2\nswapcache_low_wmark=1", "swapcache_high_wmark=100\nswapcache_low_wmark=1"])
        .refuses(
            INVALID,
            [
                (
                    "swapcache_high_wmark=5",
                    "f:6: [project] swapcache_high_wmark=5: needs swapcache_low_wmark beside it; give both or none",
                ),
                ("swapcache_high_wmark=101", "f:6: [project] swapcache_high_wmark=101: must be 1..=100"),
                ("swapcache_high_wmark=0", "f:6: [project] swapcache_high_wmark=0: must be 1..=100"),
            ],
        );
    Rule::of("swapcache_low_wmark: optional with high, 1..high-1 %", PAGE)
        .takes(["swapcache_low_wmark=99\nswapcache_high_wmark=100", "swapcache_low_wmark=1\nswapcache_high_wmark=50"])
        .refuses(
            INVALID,
            [
                (
                    "swapcache_low_wmark=5",
                    "f:6: [project] swapcache_low_wmark=5: needs swapcache_high_wmark beside it; give both or none",
                ),
                ("swapcache_low_wmark=0", "f:6: [project] swapcache_low_wmark=0: must be 1..=100"),
                (
                    "swapcache_low_wmark=0\nswapcache_high_wmark=9",
                    "f:6: [project] swapcache_low_wmark=0: must be 1..=100",
                ),
                (
                    "swapcache_low_wmark=5\nswapcache_high_wmark=5",
                    "f:6: [project] swapcache_low_wmark=5: must be below swapcache_high_wmark=5",
                ),
                (
                    "swapcache_low_wmark=6\nswapcache_high_wmark=5",
                    "f:6: [project] swapcache_low_wmark=6: must be below swapcache_high_wmark=5",
                ),
            ],
        );
}

#[test]
fn region_intervals() {
    Rule::of("sample_interval, aggr_interval, update_interval: needed by region, microseconds", REGION)
        .needs(INVALID, "scan_type=region", ["sample_interval", "aggr_interval", "update_interval"])
        .takes([
            "sample_interval=1",
            "aggr_interval=5000",
            "update_interval=1",
            "update_interval=9223372036854775807",
        ])
        .refuses(
            INVALID,
            [
                ("sample_interval=0", "f:4: [project] sample_interval=0: must be a whole number, 1 or more"),
                ("aggr_interval=0", "f:5: [project] aggr_interval=0: must be a whole number, 1 or more"),
                (
                    "aggr_interval=4999",
                    "f:4: [project] sample_interval=5000: must be at most aggr_interval=4999",
                ),
                (
                    "update_interval=-1",
                    "f:6: [project] update_interval=-1: must be a whole number, 1 or more",
                ),
                (
                    "update_interval=1s",
                    "f:6: [project] update_interval=1s: must be a whole number, 1 or more",
                ),
            ],
        );
}

#[test]
fn region_bounds() {
    Rule::of("min_nr_regions, max_nr_regions: needed by region, 3 <= min < max", REGION)
        .needs(INVALID, "scan_type=region", ["min_nr_regions", "max_nr_regions"])
        .takes([
            "min_nr_regions=3",
            "min_nr_regions=999",
            "max_nr_regions=11",
            "min_nr_regions=3\nmax_nr_regions=4",
        ])
        .refuses(
            INVALID,
            [
                ("min_nr_regions=2", "f:7: [project] min_nr_regions=2: must be a whole number, 3 or more"),
                (
                    "min_nr_regions=1000",
                    "f:7: [project] min_nr_regions=1000: must be below max_nr_regions=1000",
                ),
                ("max_nr_regions=10", "f:7: [project] min_nr_regions=10: must be below max_nr_regions=10"),
                ("max_nr_regions=9", "f:7: [project] min_nr_regions=10: must be below max_nr_regions=9"),
                (
                    "max_nr_regions=99999999999999999999",
                    "f:8: [project] max_nr_regions=99999999999999999999: must be 3..=9223372036854775807",
                ),
            ],
        );
}

#[test]
fn trigger() {
    Rule::of("trigger: optional, kinds separated by commas", PAGE)
        .takes([
            "trigger=pressure some 150ms/2s",
            "trigger=pressure full 1s/10s db.slice/mysql.service",
            "trigger=usage db.slice 512M, high db.slice, free 10%",
        ])
        .refuses(
            INVALID,
            [
                (
                    "trigger=pressure some 150ms/3s",
                    "f:6: [project] trigger=pressure some 150ms/3s: must be pressure with a window of 2s, 4s, 6s, 8s or 10s (for \
                     others the kernel asks for CAP_SYS_RESOURCE) and a stall of 1ms up to the window, for example pressure some \
                     150ms/2s",
                ),
                (
                    "trigger=usage db.slice",
                    "f:6: [project] trigger=usage db.slice: must be usage GROUP SIZE, SIZE in K, M or G and at least 1, for example \
                     usage db.slice 512M",
                ),
                (
                    "trigger=high ../db",
                    "f:6: [project] trigger=high ../db: must be with a path of a control group below its mount, without .., for \
                     example db.slice/mysql.service",
                ),
                (
                    "trigger=free 100%",
                    "f:6: [project] trigger=free 100%: must be free PERCENT%, 1% to 99%, for example free 10%",
                ),
                (
                    "trigger=often",
                    "f:6: [project] trigger=often: must be one of these or several separated by commas: pressure some|full \
                     STALL/WINDOW [GROUP], usage GROUP SIZE, high GROUP, free PERCENT%; for example pressure some 150ms/2s",
                ),
            ],
        );
    Rule::of("trigger: of any scan_type", PSI_PROJECT).takes(["trigger=free 5%"]);
}
