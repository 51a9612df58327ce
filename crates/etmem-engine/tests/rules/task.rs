//! The table of `[task]`.

use crate::row::{INTERNAL, INVALID, Rule};

pub(crate) const SLIDE_TASK: &str = "[task]\nproject=a\nengine=slide\nname=t\ntype=name\nvalue=mysqld\nT=1\n";
pub(crate) const CSLIDE_TASK: &str = "[task]\nproject=a\nengine=cslide\nname=t\ntype=pid\nvalue=23456\n";
pub(crate) const CGROUP_TASK: &str =
    "[task]\nproject=a\nengine=slide\nname=t\ntype=cgroup\nvalue=system.slice/*\nT=1\n";
const PSI_TASK: &str =
    "[task]\nproject=a\nengine=psi\nname=t\ntype=pid\nvalue=1\ncg_dir=system.slice/*.service\n";
pub(crate) const MEMDCD_TASK: &str = "[task]\nproject=a\nengine=memdcd\nname=t\ntype=pid\nvalue=1\nSock=-\n";
const TIERS_TASK: &str = "[task]\nproject=a\nengine=tiers\nname=t\ntype=machine\n";
const BALLOON_TASK: &str =
    "[task]\nproject=a\nengine=balloon\nname=t\ntype=pid\nvalue=1\nqmp_socket=/run/web.qmp\n";
const PLUGIN_TASK: &str = "[task]\nproject=a\nengine=mine\nname=t\ntype=pid\nvalue=1\n";

#[test]
fn names() {
    Rule::of("project: needed, 1..=64 bytes", SLIDE_TASK)
        .needs(INVALID, "every task", ["project"])
        .holds_a_name(INVALID, 2, "project");
    // Of another engine's name it is not known here whether there is one.
    Rule::of("engine: needed, 1..=64 bytes", PLUGIN_TASK)
        .needs(INVALID, "every task", ["engine"])
        .holds_a_name(INVALID, 3, "engine");
    Rule::of("name: needed, 1..=64 bytes", SLIDE_TASK)
        .needs(INVALID, "every task", ["name"])
        .holds_a_name(INVALID, 4, "name");
}

#[test]
fn target_type() {
    for text in [SLIDE_TASK, PLUGIN_TASK] {
        Rule::of("type: needed, pid, name, exe, cgroup or machine (the last three ours)", text)
            .needs(INTERNAL, "every task", ["type"])
            .takes([
                "type=name",
                "type=pid\nvalue=1",
                "type=exe\nvalue=/usr/sbin/mysqld",
                "type=cgroup\nvalue=system.slice/sixteen-letters-and-more.service",
            ])
            .refuses(
                INTERNAL,
                [
                    ("type=comm", "f:5: [task] type=comm: must be pid, name, exe, cgroup or machine"),
                    ("type=PID", "f:5: [task] type=PID: must be pid, name, exe, cgroup or machine"),
                    ("type=", "f:5: [task] type=: must be pid, name, exe, cgroup or machine"),
                    (
                        "type=pid/name",
                        "f:5: [task] type=pid/name: must be either pid or name, and value the one to fit",
                    ),
                ],
            );
    }
}

#[test]
fn value() {
    let refused = |rule: &'static str| {
        move |value: &str| (format!("value={value}"), format!("f:6: [task] value={value}: must be {rule}"))
    };
    let long = "at most 15 bytes, as in /proc/PID/comm; type=exe finds a process by its executable";
    let text = "1 to 4095 bytes of text: a name of at most 15 bytes, a pid, or the path of an executable or control group";
    Rule::of("value of type=name: any text of 1..=15 bytes, as pgrep -x takes it", SLIDE_TASK)
        .needs(INTERNAL, "every task", ["value"])
        .takes(('!'..='~').map(|character| format!("value={character}")))
        // In the middle: at the ends a space is no part of the value.
        .takes(('\u{20}'..='~').map(|character| format!("value=a{character}b")))
        .takes([
            "value=fifteen-letters",
            "value=-x",
            "value=my db: main",
            "value=ééééééé",
            "value=数据库服务",
        ])
        .refuses(INTERNAL, ["sixteen-letters_", "éééééééé", "数据库服务a"].map(refused(long)))
        .refuses(INTERNAL, [refused(text)("")])
        .refuses(
            INTERNAL,
            [("value=a\u{7}b".to_owned(), format!("f:6: [task] value=a\\u{{7}}b: must be {text}"))],
        );
    let path = "the path of an executable from / on, or a pattern of such paths with * ? [a-z] **";
    const EXE_TASK: &str = "[task]\nproject=a\nengine=slide\nname=t\ntype=exe\nvalue=/usr/sbin/mysqld\nT=1\n";
    Rule::of("value of type=exe (ours): a path or a pattern of paths", EXE_TASK)
        .takes([
            "value=/",
            "value=/opt/*/bin/server",
            "value=/usr/**/post[gm]*",
            "value=/a b/c:d",
            "value=/é?",
        ])
        .refuses(INTERNAL, ["mysqld", "*/mysqld", "./x", "/a[b", "/a**b"].map(refused(path)));
    let refused = |value: &str| {
        let want = format!("f:6: [task] value={value}: must be the number of a process, 1 or more");
        (format!("value={value}"), want)
    };
    Rule::of("value of type=pid: a positive number", CSLIDE_TASK)
        .takes(["value=1", "value=2147483647"])
        .refuses(INTERNAL, ["0", "-5", "mysqld", "2147483648", "1.5"].map(refused));
}

#[test]
fn slide() {
    Rule::of("T: needed by slide, 0..=loop*3, here of the most loops", SLIDE_TASK)
        .needs(INTERNAL, "engine slide", ["T"])
        .takes(["T=0", "T=360"])
        .refuses(
            INTERNAL,
            [
                ("T=-1", "f:7: [task] T=-1: must be 0..=360"),
                ("T=361", "f:7: [task] T=361: must be 0..=360"),
                ("T=cold", "f:7: [task] T=cold: must be 0..=360"),
            ],
        );
    Rule::of("dram_percent does not make T optional", SLIDE_TASK)
        .refuses(INTERNAL, [("-T\ndram_percent=60", "f:1: [task] T is missing; engine slide needs it")]);
    Rule::of("max_threads: optional, any whole number", SLIDE_TASK)
        .takes(["max_threads=-3", "max_threads=0", "max_threads=1", "max_threads=100000"])
        .refuses(
            INTERNAL,
            [
                ("max_threads=two", "f:8: [task] max_threads=two: must be a whole number"),
                ("max_threads=", "f:8: [task] max_threads=: must be a whole number"),
            ],
        );
    Rule::of("swap_flag: optional, yes or no", SLIDE_TASK)
        .takes(["swap_flag=yes", "swap_flag=no"])
        .refuses(INTERNAL, [("swap_flag=true", "f:8: [task] swap_flag=true: must be yes or no")]);
    Rule::of("dry_run (ours): optional, yes or no", SLIDE_TASK)
        .takes(["dry_run=yes", "dry_run=no"])
        .refuses(INTERNAL, [("dry_run=1", "f:8: [task] dry_run=1: must be yes or no")]);
    Rule::of("disk_directly (ours): optional, yes or no", SLIDE_TASK)
        .takes(["disk_directly=yes", "disk_directly=no"])
        .refuses(INTERNAL, [("disk_directly=1", "f:8: [task] disk_directly=1: must be yes or no")]);
    Rule::of("tracker (ours): optional, auto, etmem, bpf, idle or damon", SLIDE_TASK)
        .takes(["tracker=auto", "tracker=etmem", "tracker=bpf", "tracker=idle", "tracker=damon"])
        .refuses(
            INTERNAL,
            [("tracker=Damon", "f:8: [task] tracker=Damon: must be auto, etmem, bpf, idle or damon")],
        );
    Rule::of("mover (ours): optional, auto, etmem or madvise", SLIDE_TASK)
        .takes(["mover=auto", "mover=etmem", "mover=madvise"])
        .refuses(INTERNAL, [("mover=numa", "f:8: [task] mover=numa: must be auto, etmem or madvise")]);
    Rule::of("dram_percent: optional, 0 or 1..=100", SLIDE_TASK)
        .takes(["dram_percent=0", "dram_percent=1", "dram_percent=100"])
        .refuses(
            INTERNAL,
            [
                ("dram_percent=101", "f:8: [task] dram_percent=101: must be 0..=100"),
                ("dram_percent=-1", "f:8: [task] dram_percent=-1: must be 0..=100"),
            ],
        );
}

#[test]
fn care() {
    for (key, may_be) in [
        ("max_refault", "auto, none, or a number in 0..=100"),
        ("max_stall", "a number in 0..=100, or none"),
        ("max_pressure", "a number in 0..=100, or none"),
    ] {
        Rule::of(
            "max_refault, max_stall, max_pressure (ours): optional, 0..=100 or none; auto for the first",
            SLIDE_TASK,
        )
        .takes(["0", "0.2", "100", "none"].map(|value| format!("{key}={value}")))
        .refuses(
            INTERNAL,
            ["-0.1", "100.1", "NaN", "inf", "", "off", "0,2"].map(|value| {
                let want = format!("f:8: [task] {key}={value}: must be {may_be}");
                (format!("{key}={value}"), want)
            }),
        );
    }
    Rule::of("max_refault (ours): auto", SLIDE_TASK).takes(["max_refault=auto"]);
    let whole = |key: &str, value: &str| {
        (format!("{key}={value}"), format!("f:8: [task] {key}={value}: must be 1..=100"))
    };
    for key in ["max_cpu", "max_swap_use"] {
        Rule::of("max_cpu, max_swap_use (ours): optional, 1..=100", SLIDE_TASK)
            .takes(["1", "100"].map(|value| format!("{key}={value}")))
            .refuses(INTERNAL, ["0", "101", "-1", "1.5", "", "none"].map(|value| whole(key, value)));
    }
    let rate = |value: &str| {
        let want = format!(
            "f:8: [task] max_rate={value}: must be auto, none, or digits (at least 1) and then k, m or g, at most 10 \
             characters, for example 50m for 50 MiB a second"
        );
        (format!("max_rate={value}"), want)
    };
    Rule::of("max_rate (ours): optional, auto, none or so much a second", SLIDE_TASK)
        .takes(["auto", "none", "1k", "50m", "2G", "123456789M"].map(|value| format!("max_rate={value}")))
        .refuses(
            INTERNAL,
            ["", "50", "m", "0m", "-1m", "1.5m", "50mb", "1234567890m", "50 m", "Auto", "50t", "é"].map(rate),
        );
}

#[test]
fn age() {
    let refused = |value: &str| {
        let want = format!(
            "f:8: [task] age={value}: must be auto, none, or a whole number and then s, m or h, of 1s to 12h"
        );
        (format!("age={value}"), want)
    };
    Rule::of("age (ours): optional, auto, none or a time", SLIDE_TASK)
        .takes(["auto", "none", "1s", "43200s", "1m", "720m", "12h"].map(|value| format!("age={value}")))
        .refuses(
            INTERNAL,
            ["", "10", "s", "0s", "43201s", "721m", "13h", "-1m", "1.5h", "1d", "1 m", "Auto", "10ms", "é"]
                .map(refused),
        );
}

#[test]
fn swap_threshold() {
    let refused = |value: &str| {
        let want = format!(
            "f:8: [task] swap_threshold={value}: must be digits and then g or G, at most 10 characters, for example 10g"
        );
        (format!("swap_threshold={value}"), want)
    };
    Rule::of("swap_threshold: optional, <digits>g or G, at most 10 characters", SLIDE_TASK)
        .takes(["swap_threshold=0g", "swap_threshold=123456789G", "swap_threshold=000000010g"])
        .refuses(
            INTERNAL,
            ["10", "g", "", "+1g", "-1g", "1.5g", "10gb", "10m", "10 g", "1234567890g"].map(refused),
        );
}

#[test]
fn cslide() {
    let refused = |value: &str| {
        let want = format!(
            "f:7: [task] vm_flags={value}: must be two-letter flags as in smaps, separated by spaces, for example ht"
        );
        (format!("vm_flags={value}"), want)
    };
    Rule::of("vm_flags (ours for slide): optional, two-letter flags", SLIDE_TASK)
        .takes(["vm_flags=ht", "vm_flags=rd wr"]);
    Rule::of("vm_flags: optional, two-letter flags", CSLIDE_TASK)
        .takes(["vm_flags=ht", "vm_flags=ht hg"])
        .refuses(INTERNAL, ["", "huge", "h", "HT", "ht,hg"].map(refused));
    Rule::of("anon_only: optional, yes or no", CSLIDE_TASK)
        .takes(["anon_only=yes", "anon_only=no"])
        .refuses(INTERNAL, [("anon_only=1", "f:7: [task] anon_only=1: must be yes or no")]);
    Rule::of("ign_host: optional, yes or no", CSLIDE_TASK)
        .takes(["ign_host=yes", "ign_host=no"])
        .refuses(INTERNAL, [("ign_host=1", "f:7: [task] ign_host=1: must be yes or no")]);
}

#[test]
fn psi() {
    let outside = |value: &str| {
        let want =
            format!("f:7: [task] cg_dir={value}: must be a path or glob below the cgroup root, without ..");
        (format!("cg_dir={value}"), want)
    };
    Rule::of("cg_dir: needed by psi, a glob below the cgroup root", PSI_TASK)
        .needs(INTERNAL, "engine psi", ["cg_dir"])
        .takes(["cg_dir=/", "cg_dir=a..b", "cg_dir=/system.slice/*"])
        .refuses(INTERNAL, ["a/../../b", "..", ""].map(outside));
    let positive = |key: &str| {
        ["0", "-0.1", "NaN", "inf", "x", ""].map(|value| {
            (format!("{key}={value}"), format!("f:8: [task] {key}={value}: must be a number above 0"))
        })
    };
    // As etmem 1.x takes them: above 0, whatever they are together. What does not go together is said at the start.
    for key in ["pressure", "reclaim_rate", "reclaim_rate_min", "reclaim_rate_max", "limit_min_ratio"] {
        Rule::of("optional, above 0", PSI_TASK)
            .takes(["0.001", "1", "5", "200"].map(|value| format!("{key}={value}")))
            .refuses(INTERNAL, positive(key));
    }
    let whole = |key: &str| {
        ["-1", "1k", "0x10", ""].map(|value| {
            let want = format!("f:8: [task] {key}={value}: must be a whole number, 0 or more");
            (format!("{key}={value}"), want)
        })
    };
    for key in ["limit_min_bytes", "reclaim_max_bytes"] {
        Rule::of("optional, bytes", PSI_TASK)
            .takes(["0", "1073741824"].map(|value| format!("{key}={value}")))
            .refuses(INTERNAL, whole(key));
    }
    Rule::of("type and value: not needed by psi", PSI_TASK).takes(["-type", "-value", "-type\n-value"]);
    Rule::of("type and value: not used by psi", PSI_TASK)
        .takes(["type=name\nvalue=cgroup_v1", "value=a name of more than fifteen bytes"]);
}

#[test]
fn what_psi_has_beyond_the_original() {
    Rule::of("io_pressure: optional, 0..=100 % or none", PSI_TASK)
        .takes(["io_pressure=0", "io_pressure=100", "io_pressure=none"])
        .refuses(
            INTERNAL,
            ["-1", "100.1"].map(|value| {
                let want = format!("f:8: [task] io_pressure={value}: must be a number in 0..=100, or none");
                (format!("io_pressure={value}"), want)
            }),
        );
    Rule::of("swappiness: optional, 0..=200, auto or none", PSI_TASK)
        .takes(["swappiness=0", "swappiness=200", "swappiness=auto", "swappiness=none"])
        .refuses(
            INTERNAL,
            ["-1", "201", "max", ""].map(|value| {
                let want = format!("f:8: [task] swappiness={value}: must be auto, none, or 0..=200");
                (format!("swappiness={value}"), want)
            }),
        );
    Rule::of("the others: as those of slide", PSI_TASK).takes([
        "max_refault=0.5",
        "max_refault=none",
        "max_rate=50m",
        "max_swap_use=60",
        "dry_run=yes",
    ]);
    Rule::of("value of type=cgroup: a path or glob below the root of control groups", CGROUP_TASK)
        .takes(["value=/", "value=a/*/{b,c}", "value=**/x.service"])
        .refuses(
            INTERNAL,
            ["a/../b", "a[", "{a"].map(|value| {
                let rule =
                    "a path or glob of control groups below their root, without .., with * ? [a-z] {a,b} **";
                (format!("value={value}"), format!("f:6: [task] value={value}: must be {rule}"))
            }),
        );
}

#[test]
fn memdcd() {
    let refused = |shown: &str, value: &str| {
        let want = format!(
            "f:7: [task] Sock={shown}: must be - or the name of an abstract socket after a character that is dropped, at most 107 \
             bytes together"
        );
        (format!("Sock={value}"), want)
    };
    let longest = "s".repeat(107);
    let long = format!("@{longest}");
    Rule::of("Sock: needed by memdcd, any text of 2 to 107 bytes, or -", MEMDCD_TASK)
        .needs(INTERNAL, "engine memdcd", ["Sock"])
        .takes(["Sock=/run/decider.sock", "Sock=@decider", "Sock=decider", "Sock=-"])
        .takes([format!("Sock={longest}")])
        .refuses(INTERNAL, ["@", ""].map(|value| refused(value, value)))
        .refuses(INTERNAL, [refused(&format!("{}…", &long[..80]), &long)]);
    Rule::of("vm_flags (ours): optional, flags of two letters", MEMDCD_TASK)
        .takes(["vm_flags=us", "vm_flags=rd wr"])
        .refuses(
            INTERNAL,
            [(
                "vm_flags=anon",
                "f:8: [task] vm_flags=anon: must be two-letter flags as in smaps, separated by spaces, for example ht",
            )],
        );
    Rule::of("tracker (ours): optional", MEMDCD_TASK)
        .takes(["tracker=auto", "tracker=bpf"])
        .refuses(INTERNAL, [("tracker=x", "f:8: [task] tracker=x: must be auto, etmem, bpf, idle or damon")]);
}

#[test]
fn tiers() {
    Rule::of("type: needed by tiers; of processes it has the keys of slide", TIERS_TASK)
        .needs(INTERNAL, "every task", ["type"])
        .refuses(
            INTERNAL,
            [
                (
                    "type=pid\nvalue=1",
                    "f:1: [task] T is missing; engine tiers with type=pid, name, exe or cgroup needs it",
                ),
                (
                    "type=pid\nvalue=1\nT=1\nT_cool=3",
                    "f:1: [task] node_pair is missing; T_cool of engine tiers needs it",
                ),
                (
                    "type=pid\nvalue=1\nT=1\nT_cool=361\nnode_pair=0,1",
                    "f:8: [task] T_cool=361: must be 0..=360",
                ),
                (
                    "type=pid\nvalue=1\nT=1\nT_cool=3\nnode_pair=0,0",
                    "f:9: [task] node_pair=0,0: must be pairs of node numbers such as 2,0;3,1, each node once",
                ),
            ],
        );
    Rule::of("type=machine: of tiers only", SLIDE_TASK).refuses(
        INTERNAL,
        [(
            "type=machine",
            "f:5: [task] type=machine: must be pid, name, exe or cgroup; type=machine is for tasks of engine tiers",
        )],
    );
    Rule::of("sink_after: optional, 1s..=168h or none", TIERS_TASK)
        .takes(["sink_after=1s", "sink_after=168h", "sink_after=none"])
        .refuses(
            INTERNAL,
            ["0s", "169h", "30", ""].map(|value| {
                let rule = "none, or a whole number and then s, m or h, of 1s to 168h";
                (format!("sink_after={value}"), format!("f:6: [task] sink_after={value}: must be {rule}"))
            }),
        );
    Rule::of("sink_high: optional, 1..=100; sink_low: optional, 0..=99, below it", TIERS_TASK)
        .takes(["sink_high=100", "sink_high=1\nsink_low=0", "sink_low=79"])
        .refuses(
            INTERNAL,
            [
                ("sink_high=101", "f:6: [task] sink_high=101: must be 1..=100"),
                ("sink_high=0", "f:6: [task] sink_high=0: must be 1..=100"),
                ("sink_low=-1", "f:6: [task] sink_low=-1: must be 0..=100"),
            ],
        );
    Rule::of("sink_rate: optional, as max_rate of slide", TIERS_TASK).takes([
        "sink_rate=auto",
        "sink_rate=none",
        "sink_rate=1k",
    ]);
    Rule::of("sink_per_day: optional, 1m and more, or none", TIERS_TASK)
        .takes(["sink_per_day=1m", "sink_per_day=999999999g", "sink_per_day=none"])
        .refuses(
            INTERNAL,
            ["0g", "1k", "20", "9999999999g"].map(|value| {
                let rule = "none, or digits (at least 1) and then m or g, at most 10 characters, for example 20g for 20 GiB";
                (format!("sink_per_day={value}"), format!("f:6: [task] sink_per_day={value}: must be {rule}"))
            }),
        );
}

#[test]
fn a_plugins_tasks() {
    Rule::of("unknown keys of a thirdparty engine's task are the plugin's: no warning", PLUGIN_TASK).takes([
        "max_thread=5",
        "T=1000",
        "task_private_key=task_private_value",
    ]);
}

#[test]
fn balloon() {
    let longest = format!("/{}", "n".repeat(106));
    let refused = |path: &str| {
        let want = format!("f:7: [task] qmp_socket={path}: must be a path from / on, of at most 107 bytes");
        (format!("qmp_socket={path}"), want)
    };
    Rule::of("qmp_socket (ours): needed by balloon, a whole path", BALLOON_TASK)
        .needs(INTERNAL, "engine balloon", ["qmp_socket"])
        .takes(["qmp_socket=/a b.sock".to_owned(), format!("qmp_socket={longest}")])
        .refuses(INTERNAL, ["", "run/x", "@x"].map(refused));
    Rule::of("balloon_min, shares (ours): optional with balloon", BALLOON_TASK)
        .takes(["balloon_min=0", "balloon_min=2147483647", "shares=0", "shares=50000"])
        .refuses(
            INTERNAL,
            [
                ("balloon_min=-1", "f:8: [task] balloon_min=-1: must be 0..=2147483647"),
                ("balloon_min=1g", "f:8: [task] balloon_min=1g: must be 0..=2147483647"),
                ("shares=-1", "f:8: [task] shares=-1: must be 0..=50000"),
                ("shares=50001", "f:8: [task] shares=50001: must be 0..=50000"),
            ],
        );
}
