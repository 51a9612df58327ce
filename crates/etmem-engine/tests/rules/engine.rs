//! The table of `[engine]`.

use crate::row::{INTERNAL, INVALID, Rule};

pub(crate) const SLIDE: &str = "[engine]\nproject=a\nname=slide\n";
pub(crate) const CSLIDE: &str = "[engine]\nproject=a\nname=cslide\nnode_pair=2,0;3,1\nhot_threshold=1\n\
                                 node_mig_quota=1024\nnode_hot_reserve=512\n";
pub(crate) const THIRDPARTY: &str =
    "[engine]\nproject=a\nname=thirdparty\neng_name=mine\nlibname=/lib/mine.so\nops_name=mine_ops\n";
pub(crate) const DAMON: &str = "[engine]\nproject=a\nname=damon\nmin_size=4096\nmax_size=8192\nmin_acc=0\nmax_acc=5\n\
                                min_age=1\nmax_age=9\naction=pageout\n";

#[test]
fn project() {
    Rule::of("project: needed, 1..=64 bytes", SLIDE)
        .needs(INVALID, "every engine", ["project"])
        .holds_a_name(INVALID, 2, "project");
}

#[test]
fn name() {
    Rule::of("name: needed, an engine's", SLIDE)
        .needs(INVALID, "every engine", ["name"])
        .takes(["name=slide", "name=psi", "name=memdcd", "name=ksm", "name=balloon"])
        .refuses(INVALID, [("name=", "f:3: [engine] name=: is empty; a name has 1 to 64 bytes")])
        .refuses(
            INTERNAL,
            [
                ("name=slied", "f:3: [engine] name=slied: is not an engine; did you mean slide?"),
                ("name=SLIDE", "f:3: [engine] name=SLIDE: is not an engine; did you mean slide?"),
                (
                    "name=swapper",
                    "f:3: [engine] name=swapper: is not an engine; the nearest known one is slide",
                ),
            ],
        );
    for (text, name) in [(CSLIDE, "cslide"), (DAMON, "damon"), (THIRDPARTY, "thirdparty")] {
        Rule::of("name: needed, an engine's", text).takes([format!("name={name}")]);
    }
}

#[test]
fn thirdparty() {
    Rule::of("eng_name: needed by thirdparty, its own name", THIRDPARTY)
        .needs(INTERNAL, "engine thirdparty", ["eng_name"])
        .holds_a_name(INTERNAL, 4, "eng_name")
        .takes(["eng_name=slide2", "eng_name=thirdparty2"]);
    for name in ["slide", "cslide", "thirdparty", "damon", "psi", "memdcd", "ksm", "balloon"] {
        let want = format!(
            "f:4: [engine] eng_name={name}: must be another name than the engines' that etmemd brings"
        );
        Rule::of("eng_name: its own name, not an engine's", THIRDPARTY)
            .refuses(INTERNAL, [(format!("eng_name={name}"), want)]);
    }
    Rule::of("libname: needed by thirdparty, an absolute path", THIRDPARTY)
        .needs(INTERNAL, "engine thirdparty", ["libname"])
        .takes(["libname=/a b.so"])
        .refuses(
            INTERNAL,
            [
                (
                    "libname=mine.so",
                    "f:5: [engine] libname=mine.so: must be the absolute path of a shared object",
                ),
                (
                    "libname=../m.so",
                    "f:5: [engine] libname=../m.so: must be the absolute path of a shared object",
                ),
                ("libname=", "f:5: [engine] libname=: must be the absolute path of a shared object"),
            ],
        );
    Rule::of("ops_name: needed by thirdparty, an exported symbol", THIRDPARTY)
        .needs(INTERNAL, "engine thirdparty", ["ops_name"])
        .takes(["ops_name=_ops2", "ops_name=O"])
        .refuses(
            INTERNAL,
            [
                (
                    "ops_name=my-ops",
                    "f:6: [engine] ops_name=my-ops: must be the C identifier of a symbol of type struct engine_ops",
                ),
                (
                    "ops_name=2ops",
                    "f:6: [engine] ops_name=2ops: must be the C identifier of a symbol of type struct engine_ops",
                ),
                (
                    "ops_name=",
                    "f:6: [engine] ops_name=: must be the C identifier of a symbol of type struct engine_ops",
                ),
            ],
        );
    Rule::of("isolate: not needed by thirdparty, yes or no", THIRDPARTY)
        .takes(["isolate=yes", "isolate=no"])
        .refuses(INTERNAL, [("isolate=true", "f:7: [engine] isolate=true: must be yes or no")]);
    Rule::of("unknown keys of a thirdparty engine are the plugin's: no warning", THIRDPARTY).takes([
        "anything=goes",
        "hot_treshold=1",
        "node_pair=x",
    ]);
}

#[test]
fn node_pair() {
    let refused = |value: &str| {
        let want = format!(
            "f:4: [engine] node_pair={value}: must be pairs of node numbers such as 2,0;3,1, each node once"
        );
        (format!("node_pair={value}"), want)
    };
    Rule::of("node_pair: needed by cslide, a,b;c,d with every node at most once", CSLIDE)
        .needs(INTERNAL, "engine cslide", ["node_pair"])
        .takes(["node_pair=0,1", "node_pair=2,0;3,1;", "node_pair= 2 , 0 ; 3 , 1 ", "node_pair=7,1023"])
        .refuses(
            INTERNAL,
            ["2", "2,0;3,0", "2,0;0,3", "0,0", "a,b", "", ";", "2,0;;3,1", "1,2,3", "-1,0", "2147483648,0"]
                .map(refused),
        );
}

#[test]
fn cslide_numbers() {
    Rule::of("hot_threshold, node_mig_quota, node_hot_reserve: needed by cslide, 0 or more", CSLIDE)
        .needs(INTERNAL, "engine cslide", ["hot_threshold", "node_mig_quota", "node_hot_reserve"])
        .takes([
            "hot_threshold=0",
            "hot_threshold=1000000",
            "node_mig_quota=0",
            "node_mig_quota=2147483647",
            "node_hot_reserve=0",
            "node_hot_reserve=2147483647",
        ])
        .refuses(
            INTERNAL,
            [
                ("hot_threshold=-1", "f:5: [engine] hot_threshold=-1: must be 0..=2147483647"),
                ("hot_threshold=1.5", "f:5: [engine] hot_threshold=1.5: must be 0..=2147483647"),
                ("node_mig_quota=-1", "f:6: [engine] node_mig_quota=-1: must be 0..=2147483647"),
                ("node_mig_quota=1g", "f:6: [engine] node_mig_quota=1g: must be 0..=2147483647"),
                ("node_hot_reserve=-1", "f:7: [engine] node_hot_reserve=-1: must be 0..=2147483647"),
                (
                    "node_hot_reserve=2147483648",
                    "f:7: [engine] node_hot_reserve=2147483648: must be 0..=2147483647",
                ),
            ],
        );
}

#[test]
fn damon() {
    let keys = ["min_size", "max_size", "min_acc", "max_acc", "min_age", "max_age", "action"];
    let rule = Rule::of("sizes, accesses, ages, action: needed by damon, bounds in order", DAMON)
        .needs(INTERNAL, "engine damon", keys)
        .takes(["max_size=4096", "min_size=0", "max_acc=0", "max_age=1", "min_age=0\nmax_age=0"])
        .refuses(
            INTERNAL,
            [
                ("max_size=4095", "f:4: [engine] min_size=4096: must be at most max_size=4095"),
                ("min_acc=6", "f:6: [engine] min_acc=6: must be at most max_acc=5"),
                ("min_age=10", "f:8: [engine] min_age=10: must be at most max_age=9"),
            ],
        );
    let numbers = (4..).zip(&keys[..6]);
    rule.refuses(
        INTERNAL,
        numbers.map(|(line, key)| {
            let range = if key.ends_with("size") { "a whole number, 0 or more" } else { "0..=4294967295" };
            (format!("{key}=-1"), format!("f:{line}: [engine] {key}=-1: must be {range}"))
        }),
    );
    Rule::of("accesses and ages are 32 bits in the kernel", DAMON)
        .takes(["max_acc=4294967295", "max_age=4294967295"])
        .refuses(
            INTERNAL,
            [("max_age=4294967296", "f:9: [engine] max_age=4294967296: must be 0..=4294967295")],
        );
    Rule::of("limits (ours): optional", DAMON)
        .takes(["max_rate=none", "max_rate=50m", "max_cpu=5", "max_refault=none", "max_swap_use=90", "max_pressure=none"])
        .refuses(
            INTERNAL,
            [
                (
                    "max_rate=auto",
                    "f:11: [engine] max_rate=auto: must be none, or digits (at least 1) and then k, m or g, at most 10 \
                     characters, for example 50m for 50 MiB a second",
                ),
                ("max_cpu=0", "f:11: [engine] max_cpu=0: must be 1..=100"),
                ("max_swap_use=101", "f:11: [engine] max_swap_use=101: must be 1..=100"),
                ("max_pressure=x", "f:11: [engine] max_pressure=x: must be a number in 0..=100, or none"),
                ("max_refault=-1", "f:11: [engine] max_refault=-1: must be a number in 0..=100, or none"),
            ],
        );
    let refused = |action: &str| {
        let want = format!(
            "f:10: [engine] action={action}: must be willneed, cold, pageout, hugepage, nohugepage, stat, migrate_hot or migrate_cold"
        );
        (format!("action={action}"), want)
    };
    Rule::of("action: willneed, cold, pageout, hugepage, nohugepage, stat", DAMON)
        .takes(
            ["willneed", "cold", "pageout", "hugepage", "nohugepage", "stat"]
                .map(|word| format!("action={word}")),
        )
        .refuses(INTERNAL, ["swap", "PAGEOUT", "lru_prio", "migrate", ""].map(refused));
}

#[test]
fn damon_between_nodes() {
    let others = ["willneed", "cold", "pageout", "hugepage", "nohugepage", "stat"];
    let with_pair = others.map(|action| {
        let want = format!(
            "f:11: [engine] node_pair=1,0: goes with action=migrate_hot or action=migrate_cold only, not with action={action}; leave it \
             out"
        );
        (format!("node_pair=1,0\naction={action}"), want)
    });
    let without = ["migrate_hot", "migrate_cold"].map(|action| {
        let want = format!("f:1: [engine] node_pair is missing; action={action} needs it");
        (format!("action={action}"), want)
    });
    let form = |value: &str| {
        let want = format!(
            "f:11: [engine] node_pair={value}: must be pairs of node numbers such as 2,0;3,1, each node once"
        );
        (format!("node_pair={value}\naction=migrate_cold"), want)
    };
    Rule::of("node_pair (ours): needed by migrate_hot and migrate_cold, and by no other action", DAMON)
        .takes(["node_pair=1,0\naction=migrate_hot", "node_pair=2,0;3,1\naction=migrate_cold"])
        .refuses(INTERNAL, with_pair)
        .refuses(INTERNAL, without)
        .refuses(INTERNAL, ["1", "1,1", "1,0;0,2", "a,b", ""].map(form));
}

#[test]
fn ksm() {
    Rule::of("max_cpu, scan_time, at_stop (ours): optional with ksm", "[engine]\nproject=a\nname=ksm\n")
        .takes([
            "max_cpu=1",
            "max_cpu=100",
            "scan_time=1",
            "scan_time=1200",
            "at_stop=keep",
            "at_stop=separate",
        ])
        .refuses(
            INTERNAL,
            [
                ("max_cpu=0", "f:4: [engine] max_cpu=0: must be 1..=100"),
                ("max_cpu=101", "f:4: [engine] max_cpu=101: must be 1..=100"),
                ("scan_time=0", "f:4: [engine] scan_time=0: must be 1..=1200"),
                ("scan_time=1201", "f:4: [engine] scan_time=1201: must be 1..=1200"),
                ("at_stop=unmerge", "f:4: [engine] at_stop=unmerge: must be keep or separate"),
            ],
        );
}

#[test]
fn balloon() {
    Rule::of("host_free, host_pressure (ours): optional with balloon", "[engine]\nproject=a\nname=balloon\n")
        .takes(["host_free=1", "host_free=100", "host_pressure=0", "host_pressure=2.5", "host_pressure=none"])
        .refuses(
            INTERNAL,
            [
                ("host_free=0", "f:4: [engine] host_free=0: must be 1..=100"),
                ("host_free=101", "f:4: [engine] host_free=101: must be 1..=100"),
                ("host_pressure=-1", "f:4: [engine] host_pressure=-1: must be a number in 0..=100, or none"),
                (
                    "host_pressure=101",
                    "f:4: [engine] host_pressure=101: must be a number in 0..=100, or none",
                ),
            ],
        );
}
