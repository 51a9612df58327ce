//! Every rule of a configuration file: a row for what is accepted and a row for what is refused.

use etmem_config::error::ConfigError;
use etmem_config::values::{DamosAction, NodePair, SocketAddress, VmFlag};
use etmem_config::{ConfigFile, EngineKind, FaultClass, Scan, TaskParameters, parse};
use etmem_core::kernel::process::Target;
use std::path::Path;
use std::time::Duration;

const INVALID: FaultClass = FaultClass::InvalidParameters;
const INTERNAL: FaultClass = FaultClass::Internal;

/// A valid group of each kind; a row changes one key of it.
const PAGE: &str = "[project]\nname=a\nloop=3\ninterval=5\nsleep=10\n";
const REGION: &str = "[project]\nname=a\nscan_type=region\nsample_interval=5000\naggr_interval=100000\n\
                      update_interval=1000000\nmin_nr_regions=10\nmax_nr_regions=1000\n";
const PSI_PROJECT: &str = "[project]\nname=a\nscan_type=psi\ninterval=5\n";
const SLIDE: &str = "[engine]\nproject=a\nname=slide\n";
const CSLIDE: &str = "[engine]\nproject=a\nname=cslide\nnode_pair=2,0;3,1\nhot_threshold=1\n\
                      node_mig_quota=1024\nnode_hot_reserve=512\n";
const THIRDPARTY: &str =
    "[engine]\nproject=a\nname=thirdparty\neng_name=mine\nlibname=/lib/mine.so\nops_name=mine_ops\n";
const DAMON: &str = "[engine]\nproject=a\nname=damon\nmin_size=4096\nmax_size=8192\nmin_acc=0\nmax_acc=5\n\
                     min_age=1\nmax_age=9\naction=pageout\n";
const SLIDE_TASK: &str = "[task]\nproject=a\nengine=slide\nname=t\ntype=name\nvalue=mysqld\nT=1\n";
const CSLIDE_TASK: &str = "[task]\nproject=a\nengine=cslide\nname=t\ntype=pid\nvalue=23456\n";
const PSI_TASK: &str =
    "[task]\nproject=a\nengine=psi\nname=t\ntype=pid\nvalue=1\ncg_dir=system.slice/*.service\n";
const MEMDCD_TASK: &str = "[task]\nproject=a\nengine=memdcd\nname=t\ntype=pid\nvalue=1\nSock=-\n";

fn read(text: &str) -> Result<ConfigFile, ConfigError> {
    parse(Path::new("f"), text)
}

/// `group` with `change` made: `key=value` replaces or adds, `-key` takes away.
fn changed(group: &str, change: &str) -> String {
    let change_of = change.strip_prefix('-').unwrap_or(change);
    let key = change_of.split_once('=').map_or(change_of, |(key, _)| key);
    let is_it = |line: &&str| line.split('=').next() == Some(key);
    let mut lines: Vec<&str> = group.lines().filter(|line| !is_it(line)).collect();
    if !change.starts_with('-') {
        // Where it was, so that lines in messages stay.
        let place = group.lines().position(|line| is_it(&line)).unwrap_or(lines.len());
        lines.insert(place, change);
    }
    lines.join("\n")
}

#[test]
fn accepted() {
    let longest_name = format!("name={}", "n".repeat(64));
    for (group, changes) in [
        (
            PAGE,
            &[
                "name=a",
                &longest_name,
                "scan_type=page",
                "loop=1",
                "loop=120",
                "loop=+3",
                "loop=003",
                "interval=1",
                "interval=1200",
                "sleep=1",
                "sleep=1200",
                "sysmem_threshold=0",
                "sysmem_threshold=100",
                "swapcache_high_wmark=5\nswapcache_low_wmark=4",
                "swapcache_high_wmark=100\nswapcache_low_wmark=1",
            ][..],
        ),
        (REGION, &["sample_interval=1", "min_nr_regions=3", "min_nr_regions=999", "max_nr_regions=11"]),
        (PSI_PROJECT, &["interval=1200"]),
        (SLIDE, &["project=b"]),
        (
            CSLIDE,
            &[
                "node_pair=0,1",
                "node_pair=2,0;3,1;",
                "node_pair= 2 , 0 ; 3 , 1 ",
                "hot_threshold=0",
                "hot_threshold=1000000",
                "node_mig_quota=0",
                "node_hot_reserve=0",
                "node_mig_quota=2147483647",
            ],
        ),
        (THIRDPARTY, &["eng_name=slide2", "ops_name=_ops2", "anything=goes"]),
        (DAMON, &["max_size=4096", "max_acc=0", "max_age=1", "action=stat", "action=hugepage"]),
        (
            SLIDE_TASK,
            &[
                "value=a.b%c/d_e-f",
                "value=fifteen-letters",
                "type=pid\nvalue=1",
                "T=0",
                "T=360",
                "max_threads=-3",
                "max_threads=0",
                "max_threads=100000",
                "swap_threshold=0g",
                "swap_threshold=123456789G",
                "swap_flag=yes",
                "swap_flag=no",
                "dram_percent=0",
                "dram_percent=100",
            ],
        ),
        (
            CSLIDE_TASK,
            &["vm_flags=ht", "vm_flags=ht hg", "anon_only=yes", "ign_host=yes", "value=2147483647"],
        ),
        (
            PSI_TASK,
            &[
                "cg_dir=/",
                "pressure=0",
                "pressure=100",
                "reclaim_rate=0.5",
                "reclaim_rate_min=0",
                "reclaim_rate_max=1",
                "limit_min_bytes=1",
                "limit_min_ratio=1",
                "reclaim_max_bytes=0",
            ],
        ),
        (MEMDCD_TASK, &["Sock=/run/decider.sock", "Sock=@decider"]),
    ] {
        for change in changes {
            // A change of two keys: the first takes the place of the one it replaces.
            let text = change.lines().fold(group.to_owned(), |text, change| changed(&text, change));
            let file = read(&text).unwrap_or_else(|error| panic!("{change}: {error}"));
            assert_eq!(file.warnings, [], "{change}");
        }
    }
}

#[test]
fn refused() {
    let long_name = "n".repeat(65);
    let rows: Vec<(&str, String, String, FaultClass)> = [
        // Project keys.
        (PAGE, "-name", "f:1: [project] name is missing; every project needs it", INVALID),
        (PAGE, "name=", "f:2: [project] name=: is empty; a name has 1 to 64 bytes", INVALID),
        (PAGE, "name=-a", "f:2: [project] name=-a: begins with '-', which the protocol takes for an absent value", INVALID),
        (PAGE, "name=a b", "f:2: [project] name=a b: has the character ' '; a name is printable ASCII without spaces", INVALID),
        (PAGE, "scan_type=pages", "f:6: [project] scan_type=pages: must be page, region or psi", INVALID),
        (PAGE, "-loop", "f:1: [project] loop is missing; scan_type=page needs it", INVALID),
        (PAGE, "loop=0", "f:3: [project] loop=0: must be 1..=120", INVALID),
        (PAGE, "loop=121", "f:3: [project] loop=121: must be 1..=120", INVALID),
        (PAGE, "loop=three", "f:3: [project] loop=three: must be 1..=120", INVALID),
        (PAGE, "loop=1.5", "f:3: [project] loop=1.5: must be 1..=120", INVALID),
        (PAGE, "loop=-1", "f:3: [project] loop=-1: must be 1..=120", INVALID),
        (PAGE, "loop=99999999999999999999", "f:3: [project] loop=99999999999999999999: must be 1..=120", INVALID),
        (PAGE, "loop=3 # times", "f:3: [project] loop=3 # times: must be 1..=120", INVALID),
        (PAGE, "-interval", "f:1: [project] interval is missing; scan_type=page or psi needs it", INVALID),
        (PAGE, "interval=0", "f:4: [project] interval=0: must be 1..=1200", INVALID),
        (PAGE, "interval=1201", "f:4: [project] interval=1201: must be 1..=1200", INVALID),
        (PAGE, "-sleep", "f:1: [project] sleep is missing; scan_type=page needs it", INVALID),
        (PAGE, "sleep=0", "f:5: [project] sleep=0: must be 1..=1200", INVALID),
        (PAGE, "sleep=1201", "f:5: [project] sleep=1201: must be 1..=1200", INVALID),
        (PAGE, "sysmem_threshold=101", "f:6: [project] sysmem_threshold=101: must be 0..=100", INVALID),
        (PAGE, "sysmem_threshold=-1", "f:6: [project] sysmem_threshold=-1: must be 0..=100", INVALID),
        (PAGE, "swapcache_high_wmark=5", "f:6: [project] swapcache_high_wmark=5: needs swapcache_low_wmark beside it; give both or none", INVALID),
        (PAGE, "swapcache_low_wmark=5", "f:6: [project] swapcache_low_wmark=5: needs swapcache_high_wmark beside it; give both or none", INVALID),
        (PAGE, "swapcache_high_wmark=101", "f:6: [project] swapcache_high_wmark=101: must be 1..=100", INVALID),
        (PAGE, "swapcache_low_wmark=0", "f:6: [project] swapcache_low_wmark=0: must be 1..=100", INVALID),
        (PAGE, "swapcache_low_wmark=5\nswapcache_high_wmark=5", "f:6: [project] swapcache_low_wmark=5: must be below swapcache_high_wmark=5", INVALID),
        (REGION, "-sample_interval", "f:1: [project] sample_interval is missing; scan_type=region needs it", INVALID),
        (REGION, "aggr_interval=0", "f:5: [project] aggr_interval=0: must be a whole number, 1 or more", INVALID),
        (REGION, "-update_interval", "f:1: [project] update_interval is missing; scan_type=region needs it", INVALID),
        (REGION, "min_nr_regions=2", "f:7: [project] min_nr_regions=2: must be a whole number, 3 or more", INVALID),
        (REGION, "min_nr_regions=1000", "f:7: [project] min_nr_regions=1000: must be below max_nr_regions=1000", INVALID),
        (REGION, "max_nr_regions=99999999999999999999", "f:8: [project] max_nr_regions=99999999999999999999: must be 3..=9223372036854775807", INVALID),
        (PSI_PROJECT, "-interval", "f:1: [project] interval is missing; scan_type=page or psi needs it", INVALID),
        // Engine keys.
        (SLIDE, "-project", "f:1: [engine] project is missing; every engine needs it", INVALID),
        (SLIDE, "-name", "f:1: [engine] name is missing; every engine needs it", INVALID),
        (SLIDE, "name=slied", "f:3: [engine] name=slied: is not an engine; did you mean slide?", INTERNAL),
        (SLIDE, "name=swapper", "f:3: [engine] name=swapper: is not an engine; the nearest known one is slide", INTERNAL),
        (CSLIDE, "-node_pair", "f:1: [engine] node_pair is missing; engine cslide needs it", INTERNAL),
        (CSLIDE, "node_pair=2", "f:4: [engine] node_pair=2: must be pairs of node numbers such as 2,0;3,1, each node once", INTERNAL),
        (CSLIDE, "node_pair=2,0;3,0", "f:4: [engine] node_pair=2,0;3,0: must be pairs of node numbers such as 2,0;3,1, each node once", INTERNAL),
        (CSLIDE, "node_pair=0,0", "f:4: [engine] node_pair=0,0: must be pairs of node numbers such as 2,0;3,1, each node once", INTERNAL),
        (CSLIDE, "node_pair=a,b", "f:4: [engine] node_pair=a,b: must be pairs of node numbers such as 2,0;3,1, each node once", INTERNAL),
        (CSLIDE, "node_pair=", "f:4: [engine] node_pair=: must be pairs of node numbers such as 2,0;3,1, each node once", INTERNAL),
        (CSLIDE, "node_pair=1,2,3", "f:4: [engine] node_pair=1,2,3: must be pairs of node numbers such as 2,0;3,1, each node once", INTERNAL),
        (CSLIDE, "hot_threshold=-1", "f:5: [engine] hot_threshold=-1: must be 0..=2147483647", INTERNAL),
        (CSLIDE, "node_mig_quota=-1", "f:6: [engine] node_mig_quota=-1: must be 0..=2147483647", INTERNAL),
        (CSLIDE, "-node_hot_reserve", "f:1: [engine] node_hot_reserve is missing; engine cslide needs it", INTERNAL),
        (THIRDPARTY, "-eng_name", "f:1: [engine] eng_name is missing; engine thirdparty needs it", INTERNAL),
        (THIRDPARTY, "eng_name=slide", "f:4: [engine] eng_name=slide: must be another name than the engines' that etmemd brings", INTERNAL),
        (THIRDPARTY, "libname=mine.so", "f:5: [engine] libname=mine.so: must be the absolute path of a shared object", INTERNAL),
        (THIRDPARTY, "ops_name=my-ops", "f:6: [engine] ops_name=my-ops: must be the C identifier of a symbol of type struct engine_ops", INTERNAL),
        (THIRDPARTY, "ops_name=2ops", "f:6: [engine] ops_name=2ops: must be the C identifier of a symbol of type struct engine_ops", INTERNAL),
        (DAMON, "-min_size", "f:1: [engine] min_size is missing; engine damon needs it", INTERNAL),
        (DAMON, "max_size=4095", "f:4: [engine] min_size=4096: must be at most max_size=4095", INTERNAL),
        (DAMON, "min_acc=6", "f:6: [engine] min_acc=6: must be at most max_acc=5", INTERNAL),
        (DAMON, "min_age=10", "f:8: [engine] min_age=10: must be at most max_age=9", INTERNAL),
        (DAMON, "max_age=-1", "f:9: [engine] max_age=-1: must be a whole number, 0 or more", INTERNAL),
        (DAMON, "action=swap", "f:10: [engine] action=swap: must be willneed, cold, pageout, hugepage, nohugepage or stat", INTERNAL),
        // Task keys.
        (SLIDE_TASK, "-project", "f:1: [task] project is missing; every task needs it", INVALID),
        (SLIDE_TASK, "-engine", "f:1: [task] engine is missing; every task needs it", INVALID),
        (SLIDE_TASK, "-name", "f:1: [task] name is missing; every task needs it", INVALID),
        (SLIDE_TASK, "-type", "f:1: [task] type is missing; every task needs it", INTERNAL),
        (SLIDE_TASK, "type=comm", "f:5: [task] type=comm: must be pid or name", INTERNAL),
        (SLIDE_TASK, "-value", "f:1: [task] value is missing; every task needs it", INTERNAL),
        (SLIDE_TASK, "value=", "f:6: [task] value=: must be 1 to 15 characters out of A-Z a-z 0-9 . % / _ -, as in /proc/PID/comm", INTERNAL),
        (SLIDE_TASK, "value=sixteen-letters_", "f:6: [task] value=sixteen-letters_: must be 1 to 15 characters out of A-Z a-z 0-9 . % / _ -, as in /proc/PID/comm", INTERNAL),
        (SLIDE_TASK, "value=a b", "f:6: [task] value=a b: must be 1 to 15 characters out of A-Z a-z 0-9 . % / _ -, as in /proc/PID/comm", INTERNAL),
        (CSLIDE_TASK, "value=0", "f:6: [task] value=0: must be the number of a process, 1 or more", INTERNAL),
        (CSLIDE_TASK, "value=-5", "f:6: [task] value=-5: must be the number of a process, 1 or more", INTERNAL),
        (CSLIDE_TASK, "value=mysqld", "f:6: [task] value=mysqld: must be the number of a process, 1 or more", INTERNAL),
        (CSLIDE_TASK, "value=2147483648", "f:6: [task] value=2147483648: must be the number of a process, 1 or more", INTERNAL),
        (SLIDE_TASK, "-T", "f:1: [task] T is missing; engine slide needs it", INTERNAL),
        (SLIDE_TASK, "T=-1", "f:7: [task] T=-1: must be 0..=360", INTERNAL),
        (SLIDE_TASK, "T=361", "f:7: [task] T=361: must be 0..=360", INTERNAL),
        (SLIDE_TASK, "max_threads=two", "f:8: [task] max_threads=two: must be a whole number", INTERNAL),
        (SLIDE_TASK, "swap_threshold=10", "f:8: [task] swap_threshold=10: must be digits and then g or G, at most 10 characters, for example 10g", INTERNAL),
        (SLIDE_TASK, "swap_threshold=g", "f:8: [task] swap_threshold=g: must be digits and then g or G, at most 10 characters, for example 10g", INTERNAL),
        (SLIDE_TASK, "swap_threshold=+1g", "f:8: [task] swap_threshold=+1g: must be digits and then g or G, at most 10 characters, for example 10g", INTERNAL),
        (SLIDE_TASK, "swap_threshold=1234567890g", "f:8: [task] swap_threshold=1234567890g: must be digits and then g or G, at most 10 characters, for example 10g", INTERNAL),
        (SLIDE_TASK, "swap_flag=true", "f:8: [task] swap_flag=true: must be yes or no", INTERNAL),
        (SLIDE_TASK, "dram_percent=101", "f:8: [task] dram_percent=101: must be 0..=100", INTERNAL),
        (CSLIDE_TASK, "vm_flags=", "f:7: [task] vm_flags=: must be two-letter flags as in smaps, separated by spaces, for example ht", INTERNAL),
        (CSLIDE_TASK, "vm_flags=huge", "f:7: [task] vm_flags=huge: must be two-letter flags as in smaps, separated by spaces, for example ht", INTERNAL),
        (CSLIDE_TASK, "anon_only=1", "f:7: [task] anon_only=1: must be yes or no", INTERNAL),
        (CSLIDE_TASK, "ign_host=1", "f:7: [task] ign_host=1: must be yes or no", INTERNAL),
        (PSI_TASK, "-cg_dir", "f:1: [task] cg_dir is missing; engine psi needs it", INTERNAL),
        (PSI_TASK, "cg_dir=a/../../b", "f:7: [task] cg_dir=a/../../b: must be a path or glob below the cgroup root, without ..", INTERNAL),
        (PSI_TASK, "pressure=NaN", "f:8: [task] pressure=NaN: must be a number in 0..=100", INTERNAL),
        (PSI_TASK, "pressure=101", "f:8: [task] pressure=101: must be a number in 0..=100", INTERNAL),
        (PSI_TASK, "reclaim_rate=inf", "f:8: [task] reclaim_rate=inf: must be a number in 0..=1", INTERNAL),
        (PSI_TASK, "reclaim_rate=0.001", "f:8: [task] reclaim_rate=0.001: must be at least reclaim_rate_min=0.01", INTERNAL),
        (PSI_TASK, "reclaim_rate=0.6", "f:8: [task] reclaim_rate=0.6: must be at most reclaim_rate_max=0.5", INTERNAL),
        (PSI_TASK, "reclaim_rate_min=0.1", "f:8: [task] reclaim_rate_min=0.1: must be at most reclaim_rate=0.05", INTERNAL),
        (PSI_TASK, "reclaim_rate_max=0.04", "f:8: [task] reclaim_rate_max=0.04: must be at least reclaim_rate=0.05", INTERNAL),
        (PSI_TASK, "limit_min_bytes=-1", "f:8: [task] limit_min_bytes=-1: must be a whole number, 0 or more", INTERNAL),
        (PSI_TASK, "limit_min_ratio=2", "f:8: [task] limit_min_ratio=2: must be a number in 0..=1", INTERNAL),
        (PSI_TASK, "reclaim_max_bytes=1g", "f:8: [task] reclaim_max_bytes=1g: must be a whole number, 0 or more", INTERNAL),
        (MEMDCD_TASK, "-Sock", "f:1: [task] Sock is missing; engine memdcd needs it", INTERNAL),
        (MEMDCD_TASK, "Sock=decider", "f:7: [task] Sock=decider: must be an absolute path, @NAME or -, of at most 107 bytes", INTERNAL),
        (MEMDCD_TASK, "Sock=@", "f:7: [task] Sock=@: must be an absolute path, @NAME or -, of at most 107 bytes", INTERNAL),
    ]
    .into_iter()
    .map(|(group, change, want, class)| (group, change.to_owned(), want.to_owned(), class))
    .chain([
        (
            PAGE,
            format!("name={long_name}"),
            format!("f:2: [project] name={long_name}: has 65 bytes; a name has 1 to 64"),
            INVALID,
        ),
        (
            MEMDCD_TASK,
            format!("Sock=/{}", "s".repeat(107)),
            format!(
                "f:7: [task] Sock=/{}…: must be an absolute path, @NAME or -, of at most 107 bytes",
                "s".repeat(79)
            ),
            INTERNAL,
        ),
    ])
    .collect();
    for (group, change, want, class) in rows {
        let text = change.lines().fold(group.to_owned(), |text, change| changed(&text, change));
        let error = read(&text).expect_err(&want);
        assert_eq!((error.to_string(), error.class()), (want, class));
    }
}

#[test]
fn a_missing_key_that_was_mistyped() {
    let error = read(&changed(&changed(PAGE, "-loop"), "lop=3")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f:1: [project] loop is missing; scan_type=page needs it; is lop a mistyping of it?"
    );
}

#[test]
fn files_that_are_no_key_files() {
    for (text, want, class) in [
        (
            "name=a\n",
            "f:1: stands before the first [group]; begin with [project], [engine] or [task]",
            INTERNAL,
        ),
        ("[project]\nname=a\nloop 3\n", "f:3: is not key=value, a [group] or a # comment", INTERNAL),
        ("[project]\n=3\n", "f:2: has no key before the =", INTERNAL),
        (
            "[project\nname=a\n",
            "f:1: is not a group; write [project], [engine] or [task] on a line of its own",
            INTERNAL,
        ),
        ("[project]\nname=a\0\n", "f:2: has a NUL byte; is this a text file?", INTERNAL),
        ("", "f: has none of the groups [project], [engine] and [task]", INVALID),
        (
            "[projekt]\nname=a\n",
            "f: has none of the groups [project], [engine] and [task]; it has [projekt]",
            INVALID,
        ),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!((error.to_string(), error.class()), (want.to_owned(), class), "{text:?}");
    }
}

#[test]
fn warnings() {
    for (text, want) in [
        (
            changed(PAGE, "swapcache_high_vmark=5"),
            "f:6: [project] unknown key swapcache_high_vmark is ignored; did you mean swapcache_high_wmark?",
        ),
        (
            changed(PAGE, "colour=red"),
            "f:6: [project] unknown key colour is ignored; the nearest known one is loop",
        ),
        (
            changed(PAGE, "sample_interval=5"),
            "f:6: [project] key sample_interval is ignored; only scan_type=region uses it",
        ),
        (changed(PSI_PROJECT, "loop=5"), "f:5: [project] key loop is ignored; only scan_type=page uses it"),
        (changed(SLIDE, "node_pair=5"), "f:4: [engine] key node_pair is ignored; only engine cslide uses it"),
        (changed(CSLIDE_TASK, "T=5"), "f:7: [task] key T is ignored; only engine slide uses it"),
        (
            changed(SLIDE_TASK, "max_thread=5"),
            "f:8: [task] unknown key max_thread is ignored; did you mean max_threads?",
        ),
        (format!("{PAGE}loop=4"), "f:3: [project] this value of loop is ignored; it is given again below"),
        (format!("{SLIDE}[taks]\na=b"), "f:4: unknown group [taks] is ignored; did you mean task?"),
        (
            format!("{SLIDE}[logging]\na=b"),
            "f:4: unknown group [logging] is ignored; the nearest known one is engine",
        ),
    ] {
        let file = read(&text).unwrap();
        let warnings: Vec<_> = file.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [want]);
    }
}

#[test]
fn a_plugins_keys_are_its_own() {
    let task = "[task]\nproject=a\nengine=mine\nname=t\ntype=pid\nvalue=1\nmax_thread=5\nmax_thread=6\n";
    let file = read(&format!("{THIRDPARTY}hot_treshold=1\n{task}")).unwrap();
    assert_eq!(file.warnings, []);
    let EngineKind::Thirdparty(engine) = &file.engines[0].kind else { panic!("{file:?}") };
    assert!(engine.keys.contains(&("hot_treshold".into(), "1".into())));
    let TaskParameters::Other(keys) = &file.tasks[0].parameters else { panic!("{file:?}") };
    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(keys, ["engine=mine", "max_thread=6", "name=t", "project=a", "type=pid", "value=1"]);
}

#[test]
fn warnings_have_a_bound() {
    let text = (0..1000).fold(PAGE.to_owned(), |text, number| format!("{text}key{number}=1\n"));
    let warnings = read(&text).unwrap().warnings;
    assert_eq!(warnings.len(), 51);
    assert_eq!(warnings[50].to_string(), "f:56: [project] 950 more things are ignored from here on");
}

#[test]
fn meaning_of_a_project() {
    let text = format!(
        "{PAGE}sysmem_threshold=50\nswapcache_high_wmark=5\nswapcache_low_wmark=3\n{REGION}{PSI_PROJECT}"
    );
    let [page, region, psi] = &read(&text).unwrap().projects[..] else { panic!("three projects") };
    assert_eq!((page.line, page.name.as_str()), (1, "a"));
    assert_eq!(page.sysmem_threshold.unwrap().get(), 50);
    let watermarks = page.swapcache_watermarks.unwrap();
    assert_eq!((watermarks.low.get(), watermarks.high.get()), (3, 5));
    let Scan::Page(scan) = &page.scan else { panic!("{page:?}") };
    assert_eq!((scan.loops, scan.interval.as_secs(), scan.sleep.as_secs()), (3, 5, 10));

    assert_eq!((region.line, region.sysmem_threshold, region.swapcache_watermarks), (9, None, None));
    let Scan::Region(scan) = &region.scan else { panic!("{region:?}") };
    assert_eq!(scan.sample_interval, Duration::from_millis(5));
    assert_eq!(scan.aggregation_interval, Duration::from_millis(100));
    assert_eq!(scan.update_interval, Duration::from_secs(1));
    assert_eq!((scan.min_regions, scan.max_regions), (10, 1000));

    let Scan::Psi(scan) = &psi.scan else { panic!("{psi:?}") };
    assert_eq!(scan.interval, Duration::from_secs(5));
}

#[test]
fn meaning_of_an_engine() {
    let psi = "[engine]\nproject=b\nname=psi\n[engine]\nproject=b\nname=memdcd\n";
    let file = read(&format!("{SLIDE}{CSLIDE}{THIRDPARTY}{DAMON}{psi}")).unwrap();
    let names: Vec<_> = file.engines.iter().map(|engine| engine.name.as_str()).collect();
    assert_eq!(names, ["slide", "cslide", "mine", "damon", "psi", "memdcd"]);
    assert_eq!(file.engines[0].kind, EngineKind::Slide);
    let EngineKind::Cslide(cslide) = &file.engines[1].kind else { panic!("{file:?}") };
    assert_eq!(cslide.node_pairs, [NodePair { first: 2, second: 0 }, NodePair { first: 3, second: 1 }]);
    assert_eq!((cslide.hot_threshold, cslide.node_mig_quota, cslide.node_hot_reserve), (1, 1 << 30, 1 << 29));
    let EngineKind::Thirdparty(thirdparty) = &file.engines[2].kind else { panic!("{file:?}") };
    assert_eq!((thirdparty.library.to_str(), &*thirdparty.operations), (Some("/lib/mine.so"), "mine_ops"));
    let EngineKind::Damon(damon) = &file.engines[3].kind else { panic!("{file:?}") };
    assert_eq!((damon.min_size, damon.max_size), (4096, 8192));
    assert_eq!((damon.min_accesses, damon.max_accesses, damon.min_age, damon.max_age), (0, 5, 1, 9));
    assert_eq!(damon.action, DamosAction::PageOut);
    assert_eq!(file.engines[4].kind, EngineKind::Psi);
    assert_eq!((&file.engines[5].kind, file.engines[5].project.as_str()), (&EngineKind::Memdcd, "b"));
}

#[test]
fn meaning_of_a_slide_task() {
    let slide = |change: &str| {
        let task = read(&changed(SLIDE_TASK, change)).unwrap().tasks.remove(0);
        let TaskParameters::Slide(slide) = task.parameters else { panic!("{change}") };
        slide
    };
    let plain = slide("T=7");
    assert_eq!((plain.threshold, plain.max_threads, plain.swap_threshold), (7, 1, None));
    assert_eq!((plain.swap_flag, plain.dram_percent), (false, None));
    assert_eq!(slide("max_threads=-3").max_threads, 1);
    assert_eq!(slide("max_threads=0").max_threads, 1);
    assert_eq!(slide("max_threads=9").max_threads, 9);
    assert_eq!(slide("swap_threshold=10g").swap_threshold, Some(10 << 30));
    assert_eq!(slide("swap_threshold=2G").swap_threshold, Some(2 << 30));
    assert!(slide("swap_flag=yes").swap_flag);
    assert_eq!(slide("dram_percent=0").dram_percent, None);
    assert_eq!(slide("dram_percent=60").dram_percent.unwrap().get(), 60);
}

#[test]
fn meaning_of_other_tasks() {
    let cslide = changed(CSLIDE_TASK, "vm_flags=ht hg");
    let damon = changed(CSLIDE_TASK, "engine=damon");
    let file = read(&format!("{SLIDE_TASK}{cslide}\n{PSI_TASK}{MEMDCD_TASK}{damon}")).unwrap();
    assert_eq!(file.tasks[0].target, Target::Comm("mysqld".into()));
    let Target::Pid(pid) = &file.tasks[1].target else { panic!("{file:?}") };
    assert_eq!(pid.get(), 23456);
    let TaskParameters::Cslide(cslide) = &file.tasks[1].parameters else { panic!("{file:?}") };
    assert_eq!(cslide.vm_flags, [VmFlag::new("ht").unwrap(), VmFlag::new("hg").unwrap()]);
    assert_eq!((cslide.anon_only, cslide.ign_host), (false, false));
    let TaskParameters::Psi(psi) = &file.tasks[2].parameters else { panic!("{file:?}") };
    assert_eq!((&*psi.cgroups, psi.pressure_percent), ("system.slice/*.service", 0.1));
    let rates = (psi.reclaim_rate.get(), psi.reclaim_rate_min.get(), psi.reclaim_rate_max.get());
    assert_eq!(rates, (0.05, 0.01, 0.5));
    let limits = (psi.limit_min_bytes, psi.limit_min_ratio.get(), psi.reclaim_max_bytes);
    assert_eq!(limits, (0, 0.1, 1 << 30));
    let TaskParameters::Memdcd(memdcd) = &file.tasks[3].parameters else { panic!("{file:?}") };
    assert_eq!(memdcd.socket, SocketAddress::Abstract("_memdcd.server".into()));
    assert_eq!(file.tasks[4].parameters, TaskParameters::Damon);
}

#[test]
fn the_last_of_a_repeated_key_counts() {
    let file = read(&format!("{PAGE}loop=7\n")).unwrap();
    let Scan::Page(scan) = &file.projects[0].scan else { panic!("{file:?}") };
    assert_eq!(scan.loops, 7);
    // Also where the one before it would be refused.
    assert!(read("[project]\nname=a\nloop=0\nloop=7\ninterval=5\nsleep=10\n").is_ok());
}
