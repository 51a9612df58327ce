//! The older format: etmem 1.0.

use crate::row::{INTERNAL, INVALID, Rule, Written};
use etmem_config::error::ConfigError;
use etmem_config::{ConfigFile, FaultClass, parse, parse_names, parse_older};
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;
use etmem_core::policy::ColdRule;
use etmem_engine::keys;
use etmem_engine::slide::Settings;
use std::path::Path;

const OLDER: Written = Written { separator: " : ", read };

const FILE: &str = "options:\nloop : 3\ninterval : 1\nsleep : 2\npolicies:\ntype : name\nvalue : mysqld\n\
                    max_threads : 3\nengine : slide\nparam:\nT : 3\n";

fn read(text: &str) -> Result<ConfigFile, ConfigError> {
    parse_older(Path::new("f"), text, &Name::new("test").expect("a name"), &keys())
}

fn rule(name: &'static str) -> Rule {
    Rule::of_form(&OLDER, name, FILE)
}

#[test]
fn options() {
    let rows = |line, key: &str, most: i32| {
        let want = |value: &str| format!("f:{line}: options: {key} : {value}: must be 1..={most}");
        let beyond = (most + 1).to_string();
        let values = ["0", &beyond, "-1", "x", "1.5", ""];
        values.map(|value| (format!("{key} : {value}"), want(value)))
    };
    rule("loop: needed, 1..=120")
        .needs(INVALID, "every project", ["loop"])
        .takes(["loop : 1", "loop : 120", "loop: 3", "loop:3", "\tloop\t:\t3 # scans"])
        .refuses(INVALID, rows(2, "loop", 120).into_iter().filter(|(change, _)| change != "loop : 1"));
    rule("interval: needed, 1..=1200")
        .needs(INVALID, "every project", ["interval"])
        .takes(["interval : 1", "interval : 1200"])
        .refuses(INVALID, rows(3, "interval", 1200));
    rule("sleep: needed, 1..=1200")
        .needs(INVALID, "every project", ["sleep"])
        .takes(["sleep : 1", "sleep : 1200"])
        .refuses(INVALID, rows(4, "sleep", 1200));
}

#[test]
fn policies() {
    let missing =
        |key: &str| (format!("-{key}"), format!("f:5: policies: {key} is missing; every task needs it"));
    rule("type, value, engine: needed").refuses(INTERNAL, ["type", "value", "engine"].map(missing));
    rule("type: pid or name").takes(["type : pid\nvalue : 1", "type : name"]).refuses(
        INTERNAL,
        [
            ("type : comm", "f:6: policies: type : comm: must be pid, name, exe, cgroup or machine"),
            (
                "type : pid/name",
                "f:6: policies: type : pid/name: must be either pid or name, and value the one to fit",
            ),
        ],
    );
    let refused = |value: &str, rule: &str| {
        (format!("value : {value}"), format!("f:7: policies: value : {value}: must be {rule}"))
    };
    let long = "at most 15 bytes, as in /proc/PID/comm; type=exe finds a process by its executable";
    let text = "1 to 4095 bytes of text: a name of at most 15 bytes, a pid, or the path of an executable or control group";
    rule("value: as in [task]")
        .takes([
            "value : fifteen-letters",
            "value : a.b%c/d_e-f",
            "value : \"mysqld\"",
            "value : -x",
            "value : a b",
        ])
        .refuses(INTERNAL, [refused("sixteen-letters_", long), refused("", text)]);
    let refused = |value: &str| {
        let want = format!("f:7: policies: value : {value}: must be the number of a process, 1 or more");
        (format!("type : pid\nvalue : {value}"), want)
    };
    rule("value of type pid: a positive number")
        .takes(["type : pid\nvalue : 2147483647"])
        .refuses(INTERNAL, ["0", "mysqld", "2147483648"].map(refused));
    rule("max_threads: optional")
        .takes(["-max_threads", "max_threads : 0", "max_threads : 1000"])
        .refuses(INTERNAL, [("max_threads : x", "f:8: policies: max_threads : x: must be a whole number")]);
    let refused = |name: &str| {
        let want = format!(
            "f:9: policies: engine : {name}: must be slide, the one engine of this form; \
             for others write the INI form (etmem obj add)"
        );
        (format!("engine : {name}"), want)
    };
    rule("engine: slide alone")
        .refuses(INTERNAL, ["cslide", "thirdparty", "damon", "psi", "memdcd", "slied", ""].map(refused));
}

#[test]
fn param() {
    rule("param and T: needed").refuses(
        INTERNAL,
        [
            ("-T", "f:10: param: T is missing; engine slide needs it"),
            ("-T\n-param:", "f:5: policies: param is missing; engine slide needs it"),
            (
                "-param:",
                "f:10: T stands before the param: it belongs to; write param: on a line of its own before it",
            ),
        ],
    );
    rule("T: 1..=loop*3").takes(["T : 1", "T : 9", "loop : 1\nT : 3", "loop : 120\nT : 360"]).refuses(
        INTERNAL,
        [
            ("T : 0", "f:11: param: T : 0: must be 1..=9 (3 times loop : 3)"),
            ("T : 10", "f:11: param: T : 10: must be 1..=9 (3 times loop : 3)"),
            ("loop : 1\nT : 4", "f:11: param: T : 4: must be 1..=3 (3 times loop : 1)"),
            ("T : -1", "f:11: param: T : -1: must be 1..=9 (3 times loop : 3)"),
            ("T : x", "f:11: param: T : x: must be 1..=9 (3 times loop : 3)"),
            ("T : ", "f:11: param: T : : must be 1..=9 (3 times loop : 3)"),
        ],
    );
}

#[test]
fn what_it_means() {
    let file = read(FILE).unwrap();
    let [project] = &file.projects[..] else { panic!("{file:?}") };
    assert_eq!((project.line, project.name.as_str()), (1, "test"));
    assert_eq!((project.sysmem_threshold, project.swapcache_watermarks), (None, None));
    let scan = project.page.as_ref().unwrap();
    assert_eq!((scan.loops, scan.interval.as_secs(), scan.sleep.as_secs()), (3, 1, 2));
    let [engine] = &file.engines[..] else { panic!("{file:?}") };
    assert_eq!((engine.project.as_str(), engine.name.as_str()), ("test", "slide"));
    assert_eq!(engine.kind, "slide");
    let [task] = &file.tasks[..] else { panic!("{file:?}") };
    assert_eq!((task.line, task.project.as_str(), task.engine.as_str()), (5, "test", "slide"));
    assert_eq!((task.name.as_str(), &task.target), ("mysqld", &Target::Comm("mysqld".into())));
    let slide = Settings::new(project, task).unwrap();
    assert_eq!((&slide.cold, slide.gates.resident_above), (&ColdRule::Below(3), None));
    assert_eq!((slide.threads_wanted.unwrap_or(slide.threads), slide.wishes.scan.only_marked), (3, false));
    let without = read(&OLDER.changed(FILE, "-max_threads")).unwrap();
    assert_eq!(Settings::new(project, &without.tasks[0]).unwrap().threads, 1);
    // A key of the INI form that this one does not have means nothing, whatever it says.
    let more = read(&OLDER.changed(FILE, "dry_run : yes")).unwrap();
    assert!(!Settings::new(project, &more.tasks[0]).unwrap().dry_run);
    assert_eq!(more.warnings.len(), 1);
}

#[test]
fn policies_may_repeat_and_each_is_a_task_with_a_name_of_its_own() {
    let policy = |value: &str, t: u16| {
        format!("policies:\ntype : name\nvalue : {value}\nengine : slide\nparam:\nT : {t}\n")
    };
    let rest: String =
        [("mysqld", 4), ("redis", 5), ("mysqld", 6)].map(|(value, t)| policy(value, t)).concat();
    let file = read(&format!("{FILE}{rest}")).unwrap();
    let mut tasks = Vec::new();
    for task in &file.tasks {
        let ColdRule::Below(t) = Settings::new(&file.projects[0], task).unwrap().cold else {
            panic!("{task:?}")
        };
        tasks.push((task.line, task.name.as_str(), t));
    }
    assert_eq!(tasks, [(5, "mysqld", 3), (12, "mysqld-2", 4), (18, "redis", 5), (24, "mysqld-3", 6)]);
    assert_eq!((file.projects.len(), file.engines.len(), file.warnings.len()), (1, 1, 0));
    // A fault of any refuses all.
    let error = read(&format!("{FILE}{rest}{}", policy("redis", 10))).unwrap_err();
    assert_eq!(error.to_string(), "f:35: param: T : 10: must be 1..=9 (3 times loop : 3)");
}

#[test]
fn tabs_and_columns_are_of_no_matter() {
    let plain = read(FILE).unwrap();
    for indentation in ["\t", "  ", " \t ", "\u{b}"] {
        let lines = FILE.lines().enumerate();
        let text: String =
            lines.map(|(line, text)| format!("{}{text}\n", indentation.repeat(line * 7 % 5))).collect();
        let read = read(&text);
        if indentation == "\u{b}" {
            // A vertical tab is none of YAML's, nor ours.
            read.unwrap_err();
        } else {
            assert_eq!(read.unwrap(), plain, "{indentation:?}");
        }
    }
    assert_eq!(read(&FILE.replace(" : ", ":")).unwrap(), plain);
    assert_eq!(read(&FILE.replace('\n', "\r\n")).unwrap(), plain);
    let late = format!("{}sleep : 2\n", OLDER.changed(FILE, "-sleep"));
    let of = |file: &ConfigFile| (file.projects[0].name.clone(), file.projects[0].page.clone());
    assert_eq!(of(&read(&late).unwrap()), of(&plain));
}

#[test]
fn warnings() {
    for (changes, want) in [
        ("lop : 5", &["f:12: param: unknown key lop is ignored; the nearest known one is T"][..]),
        ("max_threads : 3\nt : 5", &["f:12: param: unknown key t is ignored; did you mean T?"]),
    ] {
        let file = read(&OLDER.changed(FILE, changes)).unwrap();
        assert_eq!(file.warnings.iter().map(ToString::to_string).collect::<Vec<_>>(), want);
    }
    let text = FILE
        .replace("interval", "slep : 5\nloop : 4\ncolour : red\ninterval")
        .replace("engine", "valeu : x\nengine");
    let warnings: Vec<_> = read(&text).unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "f:2: options: this value of loop is ignored; it is given again below",
            "f:3: options: unknown key slep is ignored; did you mean sleep?",
            "f:5: options: unknown key colour is ignored; the nearest known one is loop",
            "f:12: policies: unknown key valeu is ignored; did you mean value?",
        ]
    );
    assert_eq!(read(&text).unwrap().projects[0].page.as_ref().unwrap().loops, 4);
    let error = read(&FILE.replace("\nloop", "\nlop")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f:1: options: loop is missing; every project needs it; is lop a mistyping of it?"
    );
}

#[test]
fn files_that_are_none_of_it() {
    let outside = "stands before the policies: it belongs to; write policies: on a line of its own before it";
    for (text, want, class) in [
        ("", "f: is empty; a file of etmem 1.0 begins with options:", INVALID),
        ("# only this\n", "f: is empty; a file of etmem 1.0 begins with options:", INVALID),
        ("loop : 3\n", "f:1: stands before options:; begin with options: on a line of its own", INTERNAL),
        ("options:\n", "f:1: options: loop is missing; every project needs it", INVALID),
        (
            "options:\nloop : 3\ninterval : 1\nsleep : 1\n",
            "f:1: options: policies is missing; every project needs it",
            INVALID,
        ),
        ("options:\ntype : pid\n", &format!("f:2: type {outside}"), INTERNAL),
        ("options:\nparam:\n", &format!("f:2: param {outside}"), INTERNAL),
        (
            "options:\npolices:\n",
            "f:2: polices: has no value, and is no group of this form; did you mean policies?",
            INTERNAL,
        ),
        (
            "options:\npolicies:\npolicy:\n",
            "f:3: policy: has no value, and is no group of this form; the nearest known one is policies",
            INTERNAL,
        ),
        (
            "options:\noptions:\n",
            "f:2: options: is given again; a file holds one project, so put the other into a file of its own",
            INTERNAL,
        ),
        (
            "options: {loop: 3}\n",
            "f:1: options: has a value, but is a group; write its keys on the lines below, one each",
            INTERNAL,
        ),
        (
            "options:\nloop = 3\n",
            "f:2: is not key : value, a group such as policies: or a # comment",
            INTERNAL,
        ),
        ("options:\nloop : \0\n", "f:2: has a NUL byte; is this a text file?", INTERNAL),
    ] {
        let error = read(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), (want, class), "{text:?}");
    }
}

#[test]
fn each_form_tells_of_the_other() {
    let want = "f:1: options: begins a file of etmem 1.0; use etmem project add -n NAME -f f, \
                and etmem project del -n NAME";
    let answers = [
        parse(Path::new("f"), FILE, &keys()).map(|_| ()),
        parse_names(Path::new("f"), FILE, &keys()).map(|_| ()),
    ];
    for error in answers.map(Result::unwrap_err) {
        assert_eq!((error.to_string().as_str(), error.class()), (want, FaultClass::Internal));
    }
    let error = read("# newer\n\n[project]\nname=a\n").unwrap_err();
    let want =
        "f:3: a [group] begins a file in the INI form, not in that of etmem 1.0; use etmem obj add -f f";
    assert_eq!((error.to_string().as_str(), error.class()), (want, FaultClass::Internal));
}
