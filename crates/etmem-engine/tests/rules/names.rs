//! What a file lists for deleting it: the names, whatever the rest says.

use crate::engine::{CSLIDE, SLIDE, THIRDPARTY};
use crate::project::PAGE;
use crate::row::{INTERNAL, INVALID, KEY_FILE};
use crate::task::{CSLIDE_TASK, SLIDE_TASK};
use etmem_config::error::ConfigError;
use etmem_config::{ListedObjects, parse_names};
use etmem_engine::keys;
use std::path::Path;

fn names(text: &str) -> Result<ListedObjects, ConfigError> {
    parse_names(Path::new("f"), text, &keys())
}

fn told(text: &str) -> Vec<String> {
    let listed = names(text).unwrap_or_else(|error| panic!("{error}\n{text}"));
    assert_eq!(listed.path, Path::new("f"));
    let projects = listed.projects.iter().map(|project| format!("{}: {}", project.line, project.name));
    let engines =
        listed.engines.iter().map(|engine| format!("{}: {}/{}", engine.line, engine.project, engine.name));
    let tasks = listed
        .tasks
        .iter()
        .map(|task| format!("{}: {}/{}/{}", task.line, task.project, task.engine, task.name));
    projects.chain(engines).chain(tasks).collect()
}

#[test]
fn what_is_listed() {
    let text = format!("{SLIDE_TASK}{SLIDE}{PAGE}{THIRDPARTY}[other]\na=b\n{CSLIDE_TASK}");
    assert_eq!(told(&text), ["11: a", "8: a/slide", "16: a/mine", "1: a/slide/t", "24: a/cslide/t"]);
}

#[test]
fn no_other_key_is_judged() {
    for (text, changes, want) in [
        (
            PAGE,
            &["loop=0", "-loop", "sleep=x", "scan_type=other", "swapcache_low_wmark=0", "lop=1"][..],
            "1: a",
        ),
        (SLIDE, &["lop=1"], "1: a/slide"),
        (SLIDE, &["name=swapper"], "1: a/swapper"),
        (CSLIDE, &["node_pair=0,0", "-node_pair", "hot_threshold=-1"], "1: a/cslide"),
        (THIRDPARTY, &["libname=gone.so", "-libname", "ops_name=1", "-ops_name"], "1: a/mine"),
        (
            SLIDE_TASK,
            &[
                "T=1000",
                "-T",
                "type=pid",
                "type=other",
                "-type",
                "-value",
                "value=sixteen-letters_",
                "swap_flag=1",
            ],
            "1: a/slide/t",
        ),
    ] {
        for change in changes {
            assert_eq!(told(&KEY_FILE.changed(text, change)), [want], "{change}");
        }
    }
}

#[test]
fn the_name_is_the_one_that_was_added() {
    assert_eq!(told(&format!("{PAGE}name=b\n")), ["1: b"]);
    let without = KEY_FILE.changed(SLIDE_TASK, "-value");
    assert_eq!(told(&format!("{without}name=redis\n")), ["1: a/slide/t"]);
    assert_eq!(told(&format!("{SLIDE_TASK}name=redis\n")), ["1: a/slide/redis"]);
}

#[test]
fn refused() {
    for (text, change, want, class) in [
        (PAGE, "-name", "f:1: [project] name is missing; every project needs it", INVALID),
        (PAGE, "name=", "f:2: [project] name=: is empty; a name has 1 to 64 bytes", INVALID),
        (SLIDE, "-project", "f:1: [engine] project is missing; every engine needs it", INVALID),
        (SLIDE, "-name", "f:1: [engine] name is missing; every engine needs it", INVALID),
        (THIRDPARTY, "-eng_name", "f:1: [engine] eng_name is missing; engine thirdparty needs it", INTERNAL),
        (SLIDE_TASK, "-project", "f:1: [task] project is missing; every task needs it", INVALID),
        (SLIDE_TASK, "-engine", "f:1: [task] engine is missing; every task needs it", INVALID),
        (SLIDE_TASK, "-name", "f:1: [task] name is missing; every task needs it", INVALID),
        (
            PAGE,
            "[project]x=1",
            "f:6: is not a group; write [project], [engine] or [task] on a line of its own",
            INTERNAL,
        ),
    ] {
        let error = names(&KEY_FILE.changed(text, change)).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), (want, class), "{change}");
    }
    for (text, want) in [
        ("", "f: has none of the groups [project], [engine] and [task]"),
        ("[other]\nname=a\n", "f: has none of the groups [project], [engine] and [task]; it has [other]"),
    ] {
        let error = names(text).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.class()), (want, INVALID));
    }
}
