//! Groups, lines, what repeats and what is unknown.

use crate::engine::{SLIDE, THIRDPARTY};
use crate::project::{PAGE, PSI_PROJECT, REGION};
use crate::row::{INTERNAL, INVALID, KEY_FILE, read};
use crate::task::{CSLIDE_TASK, SLIDE_TASK};
use etmem_config::{ProjectSection, SiblingGroups, WrittenGroup};
use etmem_core::kernel::process::Target;
use etmem_engine::HostedTask;

#[test]
fn lines() {
    let plain = read(PAGE).unwrap();
    for (rule, text) in [
        ("spaces around = are allowed", PAGE.replace('=', " = ")),
        ("tabs around = are allowed", PAGE.replace('=', "\t=\t")),
        ("lines may be indented, and end in spaces", PAGE.replace('\n', " \n\t")),
        ("the last line needs no end", PAGE.trim_end().to_owned()),
        ("lines may end as in DOS", PAGE.replace('\n', "\r\n")),
    ] {
        assert_eq!(read(&text).unwrap(), plain, "{rule}");
    }
    let text = PAGE.replace('\n', "\n\n# comment\n  # another\n");
    let file = read(&text).unwrap();
    // But for the lines that its keys stand on.
    let meant = |projects: Vec<ProjectSection>| {
        let meant = projects.into_iter().map(|mut project| {
            project.written.pairs.iter_mut().for_each(|pair| pair.line = 0);
            project
        });
        meant.collect::<Vec<_>>()
    };
    assert_eq!(
        (meant(file.projects), file.warnings),
        (meant(plain.projects), plain.warnings),
        "comments and blank lines are ignored"
    );
}

#[test]
fn byte_order_mark_is_skipped_with_a_warning() {
    let file = read(&format!("\u{feff}{PAGE}")).unwrap();
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, ["f:1: the byte order mark is ignored; save the file as UTF-8 without one"]);
    assert_eq!(file.projects, read(PAGE).unwrap().projects);
    let listed = |text: &str| {
        etmem_config::parse_names(std::path::Path::new("f"), text, &etmem_engine::keys()).unwrap()
    };
    assert_eq!(listed(&format!("\u{feff}{PAGE}")), listed(PAGE));
}

#[test]
fn characters_that_look_like_spaces_are_named() {
    let error = read(&KEY_FILE.changed(SLIDE_TASK, "-T").replace("type", "T\u{a0}=1\ntype")).unwrap_err();
    let want = "f:1: [task] T is missing; engine slide needs it; is T\\u{a0} a mistyping of it?";
    assert_eq!(error.to_string(), want);
    let error = read(&KEY_FILE.changed(SLIDE_TASK, "T=1\u{2009}")).unwrap_err();
    assert_eq!(error.to_string(), "f:7: [task] T=1\\u{2009}: must be 0..=360");
    let error = read(&format!("{PAGE}\u{a0}x\n")).unwrap_err();
    let want = "f:6: has the character \\u{a0}, which looks like a space or like nothing; write plain spaces";
    assert_eq!(error.to_string(), want);
}

#[test]
fn comment_behind_a_value_belongs_to_it() {
    let belongs = "the # and what is after it belong to the value; a comment needs a line of its own";
    for (text, change, want) in [
        (SLIDE_TASK, "T = 1 # one", format!("f:7: [task] T=1 # one: must be 0..=360; {belongs}")),
        (PAGE, "loop=3\t# three", format!("f:3: [project] loop=3\\t# three: must be 1..=120; {belongs}")),
    ] {
        assert_eq!(read(&KEY_FILE.changed(text, change)).unwrap_err().to_string(), want);
    }
    // A name may hold it, so it is accepted with a warning.
    let file = read(&KEY_FILE.changed(SLIDE_TASK, "value=db # main")).unwrap();
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(warnings, [format!("f:6: [task] value=db # main: {belongs}")]);
}

#[test]
fn quotes_belong_to_the_value() {
    let belong = "the quotes belong to the value; leave them out if they are not meant";
    for quoted in ["\"a\"", "'a'"] {
        let file = read(&KEY_FILE.changed(PAGE, &format!("name={quoted}"))).unwrap();
        assert_eq!(file.projects[0].name.as_str(), quoted);
        let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [format!("f:2: [project] name={quoted}: {belong}")]);
    }
    let error = read(&KEY_FILE.changed(SLIDE_TASK, "T=\"1\"")).unwrap_err();
    assert_eq!(error.to_string(), format!("f:7: [task] T=\"1\": must be 0..=360; {belong}"));
}

#[test]
fn any_subset_in_any_number_and_order() {
    let groups = [PAGE, REGION, SLIDE, THIRDPARTY, SLIDE_TASK, CSLIDE_TASK];
    for (rule, order, counts) in [
        ("a project alone", &[0][..], [1, 0, 0]),
        ("an engine alone", &[2], [0, 1, 0]),
        ("a task alone", &[4], [0, 0, 1]),
        ("tasks before engines before projects", &[5, 4, 3, 2, 1, 0], [2, 2, 2]),
        ("mixed", &[4, 0, 2, 5, 1, 3, 4, 4], [2, 2, 4]),
        ("the same twice: whether that can be is not for the file to know", &[2, 2, 0, 0], [2, 2, 0]),
    ] {
        let text: String = order.iter().map(|place| groups[*place]).collect();
        let file = read(&text).unwrap();
        assert_eq!([file.projects.len(), file.engines.len(), file.tasks.len()], counts, "{rule}");
        assert_eq!(file.warnings, [], "{rule}");
        let lines = text.lines().enumerate().filter(|(_, line)| line.starts_with('['));
        let mut begins = [Vec::new(), Vec::new(), Vec::new()];
        for (line, group) in lines {
            let kind = ["[project]", "[engine]", "[task]"].iter().position(|name| *name == group).unwrap();
            begins[kind].push(line + 1);
        }
        let read_lines = [
            file.projects.iter().map(|section| section.line).collect(),
            file.engines.iter().map(|section| section.line).collect(),
            file.tasks.iter().map(|section| section.line).collect::<Vec<_>>(),
        ];
        assert_eq!(read_lines, begins, "{rule}: in the order of the file");
    }
}

#[test]
fn groups_of_one_name_are_not_merged() {
    let error = read("[project]\nname=a\nloop=3\n[project]\ninterval=5\nsleep=10\n").unwrap_err();
    assert_eq!(error.to_string(), "f:1: [project] interval is missing; scan_type=page, psi or none needs it");
}

#[test]
fn names_of_groups_and_keys_are_exact() {
    for (text, want) in [
        (
            PAGE.replace("[project]", "[Project]"),
            "f: has none of the groups [project], [engine] and [task]; it has [Project]",
        ),
        (
            PAGE.replace("loop", "Loop"),
            "f:1: [project] loop is missing; scan_type=page needs it; is Loop a mistyping of it?",
        ),
        (
            SLIDE_TASK.replace("T=", "t="),
            "f:1: [task] T is missing; engine slide needs it; is t a mistyping of it?",
        ),
    ] {
        assert_eq!(read(&text).unwrap_err().to_string(), want);
    }
}

#[test]
fn a_missing_key_that_was_mistyped() {
    let error = read(&KEY_FILE.changed(&KEY_FILE.changed(PAGE, "-loop"), "lop=3")).unwrap_err();
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
            KEY_FILE.changed(PAGE, "swapcache_high_vmark=5"),
            "f:6: [project] unknown key swapcache_high_vmark is ignored; did you mean swapcache_high_wmark?",
        ),
        (
            KEY_FILE.changed(PAGE, "colour=red"),
            "f:6: [project] unknown key colour is ignored; the nearest known one is loop",
        ),
        (
            KEY_FILE.changed(PAGE, "sample_interval=5"),
            "f:6: [project] key sample_interval is ignored; only scan_type=region uses it",
        ),
        (
            KEY_FILE.changed(PSI_PROJECT, "loop=5"),
            "f:5: [project] key loop is ignored; only scan_type=page uses it",
        ),
        (
            KEY_FILE.changed(SLIDE, "node_pair=5"),
            "f:4: [engine] key node_pair is ignored; only engines cslide and damon use it",
        ),
        (
            KEY_FILE.changed(CSLIDE_TASK, "T=5"),
            "f:7: [task] key T is ignored; only engines slide and tiers with type=pid, name, exe or cgroup use it",
        ),
        (
            KEY_FILE.changed(SLIDE_TASK, "max_thread=5"),
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
    assert!(file.engines[0].written.each_key_once().contains(&("hot_treshold".into(), "1".into())));
    let keys = file.tasks[0].written.each_key_once();
    let keys: Vec<_> = keys.iter().map(|(key, value)| format!("{key}={value}")).collect();
    assert_eq!(keys, ["engine=mine", "max_thread=6", "name=t", "project=a", "type=pid", "value=1"]);
}

#[test]
fn what_stands_beside_a_plugins_group() {
    let other = |text: &str| text.replace("=mine", "=other").replace("project=a", "project=b");
    let task = "[task]\nproject=a\nengine=mine\nname=t\ntype=pid\nvalue=1\n";
    let text = [
        "[mine]\nk=1\n",
        &PAGE.replace("=a", "=b"),
        PAGE,
        &other(THIRDPARTY),
        THIRDPARTY,
        "[mine]\nk=2\n",
        &other(task),
        task,
        &task.replace("=t", "=u"),
    ];
    let file = read(&text.concat()).unwrap();
    let shown = |siblings: &SiblingGroups| {
        let name = |group: &WrittenGroup| {
            let of = |key| group.pairs.iter().find(|pair| pair.key == key).map(|pair| pair.value.clone());
            let name = of("eng_name").or_else(|| of("name")).unwrap_or_default();
            format!("{} {name}", group.name)
        };
        siblings.iter().map(name).collect::<Vec<_>>()
    };
    let engine = &file.engines[1];
    assert_eq!(shown(&engine.siblings), ["mine ", "project a", "task t"]);
    let own = engine.siblings.iter().next().unwrap();
    let pairs = own.pairs.iter().map(|pair| (pair.line, pair.key.as_str(), pair.value.as_str()));
    assert_eq!(pairs.collect::<Vec<_>>(), [(2, "k", "1"), (26, "k", "2")]);
    let engine = &file.engines[0];
    assert_eq!(shown(&engine.siblings), ["mine ", "project b", "task t"]);
    let task = &file.tasks[2];
    assert_eq!(shown(&task.siblings), ["mine ", "project a", "engine mine"]);
    assert_eq!(HostedTask::new(task).unwrap(), HostedTask { max_threads: 1, swap_flag: false });
}

#[test]
fn what_every_task_may_have_has_its_rules_in_a_plugins_too() {
    let task = "[task]\nproject=a\nengine=mine\nname=t\ntype=pid\nvalue=1\n";
    let file = read(&format!("{task}max_threads=-3\nswap_flag=yes\nT=hot\n")).unwrap();
    let hosted = HostedTask::new(&file.tasks[0]).unwrap();
    assert_eq!((hosted.max_threads, hosted.swap_flag, file.warnings.len()), (1, true, 0));
    for (line, want) in [
        ("max_threads=two", "f:7: [task] max_threads=two: must be a whole number"),
        ("swap_flag=1", "f:7: [task] swap_flag=1: must be yes or no"),
    ] {
        assert_eq!(read(&format!("{task}{line}\n")).unwrap_err().to_string(), want);
    }
}

#[test]
fn warnings_have_a_bound() {
    let text = (0..1000).fold(PAGE.to_owned(), |text, number| format!("{text}key{number}=1\n"));
    let warnings = read(&text).unwrap().warnings;
    assert_eq!(warnings.len(), 51);
    assert_eq!(warnings[50].to_string(), "f:56: [project] 950 more things are ignored from here on");
}

#[test]
fn the_last_of_a_repeated_key_counts() {
    let file = read(&format!("{PAGE}loop=7\n")).unwrap();
    assert_eq!(file.projects[0].page.as_ref().unwrap().loops, 7);
    // Also where the one before it would be refused.
    assert!(read("[project]\nname=a\nloop=0\nloop=7\ninterval=5\nsleep=10\n").is_ok());
}

#[test]
fn a_second_name_is_the_value_where_there_is_none() {
    let of = |text: &str| {
        let file = read(text).unwrap();
        let warnings: Vec<_> = file.warnings.iter().map(ToString::to_string).collect();
        (file.tasks[0].name.to_string(), file.tasks[0].target.clone(), warnings)
    };
    let text = KEY_FILE.changed(SLIDE_TASK, "-value") + "name=redis\n";
    let (name, target, warnings) = of(&text);
    assert_eq!((name.as_str(), target), ("t", Target::Comm("redis".into())));
    assert_eq!(
        warnings,
        [
            "f:7: [task] name=redis is taken for value, as name is given twice and value is not; write value=redis here"
        ]
    );
    // A plugin reads it as it was meant, and the warning is about the task, not about the plugin's keys.
    let text = KEY_FILE.changed(&text, "engine=mine");
    let file = read(&text).unwrap();
    assert_eq!(file.warnings.len(), 1);
    let keys = file.tasks[0].written.each_key_once();
    for pair in [("name", "t"), ("value", "redis")] {
        assert!(keys.contains(&(pair.0.into(), pair.1.into())), "{keys:?}");
    }
    // With a value the last name counts, as of every key.
    let (name, target, warnings) = of(&format!("{SLIDE_TASK}name=redis\n"));
    assert_eq!((name.as_str(), target), ("redis", Target::Comm("mysqld".into())));
    assert_eq!(warnings, ["f:4: [task] this value of name is ignored; it is given again below"]);
    // Of three names none can be chosen, and a value's rules hold for this one too.
    let without = KEY_FILE.changed(SLIDE_TASK, "-value");
    let error = read(&format!("{without}name=b\nname=c\n")).unwrap_err();
    assert_eq!(error.to_string(), "f:1: [task] value is missing; every task needs it");
    let error = read(&format!("{without}name=sixteen-letters_\n")).unwrap_err();
    assert_eq!(
        error.to_string(),
        "f:7: [task] value=sixteen-letters_: must be at most 15 bytes, as in /proc/PID/comm; type=exe finds a process by its executable"
    );
}
