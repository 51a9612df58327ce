//! Files that have to be accepted as they stand: the ones that come with etmem, and the ones that the original's
//! manuals print, which are in `samples/`.

use etmem_config::{ConfigFile, parse, parse_names, parse_older};
use etmem_core::kernel::process::Target;
use etmem_core::name::Name;
use etmem_core::policy::ColdRule;
use etmem_engine::keys;
use etmem_engine::slide::Settings;
use std::collections::BTreeSet;
use std::path::Path;

/// The one that comes with etmem in the form of etmem 1.0.
const OLDER: &str = "example_conf.yaml";

/// `samples/NAME`, which is in the form of etmem 1.1 and later, and what it is warned of.
fn sample(name: &str, text: &str) -> (ConfigFile, Vec<String>) {
    let file = parse(Path::new(name), text, &keys()).unwrap_or_else(|error| panic!("{error}"));
    let warnings = file.warnings.iter().map(ToString::to_string).collect();
    // What can be added can be deleted.
    let listed = parse_names(Path::new(name), text, &keys()).expect("what can be added");
    let tasks = listed.tasks.iter().map(|task| (task.line, &task.project, &task.engine, &task.name));
    assert!(tasks.eq(file.tasks.iter().map(|task| (task.line, &task.project, &task.engine, &task.name))));
    let engines = listed.engines.iter().map(|engine| (engine.line, &engine.project, &engine.name));
    assert!(engines.eq(file.engines.iter().map(|engine| (engine.line, &engine.project, &engine.name))));
    let projects = listed.projects.iter().map(|project| (project.line, &project.name));
    assert!(projects.eq(file.projects.iter().map(|project| (project.line, &project.name))));
    (file, warnings)
}

fn older(name: &str, text: &str) -> ConfigFile {
    let project = Name::new("test").expect("a name");
    parse_older(Path::new(name), text, &project, &keys()).unwrap_or_else(|error| panic!("{error}"))
}

fn names_in(directory: &str) -> BTreeSet<String> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(directory);
    let entries = std::fs::read_dir(&directory).expect("a directory of the sources");
    let names = entries.map(|entry| entry.map(|entry| entry.file_name().to_string_lossy().into_owned()));
    names.collect::<Result<_, _>>().expect("its entries")
}

#[test]
fn files_that_come_with_etmem() {
    let names = names_in("../../etc/etmem");
    for name in &names {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../etc/etmem").join(name);
        let text = std::fs::read_to_string(&path).unwrap();
        let (file, tasks) = if name == OLDER {
            (older(name, &text), 2)
        } else {
            let (file, warnings) = sample(name, &text);
            assert_eq!(warnings, [""; 0], "{name}");
            (file, 1)
        };
        assert_eq!(file.warnings, [], "{name}");
        assert_eq!((file.projects.len(), file.engines.len(), file.tasks.len()), (1, 1, tasks), "{name}");
        for task in &file.tasks {
            assert_eq!(task.engine, file.engines[0].name, "{name}");
        }
    }
    let want = [
        "balloon.yaml",
        "cslide-cxl.yaml",
        "cslide.yaml",
        "damon-cxl.yaml",
        "damon.yaml",
        "example_conf.yaml",
        "ksm.yaml",
        "memdcd.yaml",
        "psi.yaml",
        "slide-dram-percent.yaml",
        "slide.yaml",
        "thirdparty.yaml",
        "tiers.yaml",
    ];
    assert_eq!(names.into_iter().collect::<Vec<_>>(), want);
}

#[test]
fn every_sample_of_the_manuals_has_a_test_here() {
    let want = [
        "manual-1.0.yaml",
        "manual-current-cslide.yaml",
        "manual-current-three-engines.yaml",
        "manual-current-thirdparty.yaml",
    ];
    assert_eq!(names_in("tests/samples"), want.map(str::to_owned).into());
}

/// Its cslide task writes `name=` twice, the second time for `value=`. The original refuses that.
#[test]
fn the_current_manuals_sample_of_three_engines() {
    let text = include_str!("samples/manual-current-three-engines.yaml");
    let (file, warnings) = sample("f", text);
    assert_eq!(
        warnings,
        ["f:31: [task] name=23456 is taken for value, as name is given twice and value is not; \
          write value=23456 here"]
    );
    assert_eq!((file.projects.len(), file.engines.len(), file.tasks.len()), (1, 3, 3));
    assert_eq!(file.engines[1].kind, "cslide");
    let [slide, cslide, thirdparty] = &file.tasks[..] else { panic!("{file:?}") };
    assert_eq!((slide.name.as_str(), &slide.target), ("background_slide", &Target::Comm("mysql".into())));
    let Target::Pid(pid) = &cslide.target else { panic!("{cslide:?}") };
    assert_eq!((cslide.line, cslide.name.as_str(), pid.get()), (26, "background_cslide", 23456));
    assert_eq!(thirdparty.name.as_str(), "backgroud_third");
    let keys = thirdparty.written.each_key_once();
    assert!(keys.contains(&("task_private_key".into(), "task_private_value".into())));
}

#[test]
fn the_current_manuals_other_samples() {
    let (file, warnings) = sample("f", include_str!("samples/manual-current-thirdparty.yaml"));
    assert_eq!((file.projects.len(), file.engines.len(), file.tasks.len()), (0, 1, 1));
    assert_eq!((file.engines[0].name.as_str(), warnings), ("my_engine", Vec::new()));
    let (file, warnings) = sample("f", include_str!("samples/manual-current-cslide.yaml"));
    assert_eq!((file.projects.len(), file.engines.len(), file.tasks.len()), (0, 1, 1));
    assert_eq!((file.engines[0].name.as_str(), warnings), ("cslide", Vec::new()));
}

/// Two of its lines leave a choice to the reader; all stands as printed, with tabs and with lines of one group in
/// different columns.
#[test]
fn the_older_manuals_sample() {
    let text = include_str!("samples/manual-1.0.yaml");
    for (kind, value) in [("name", "mysql"), ("pid", "123456")] {
        let file = older("f", &text.replace("pid/name", kind).replace("123456/mysql", value));
        assert_eq!(file.warnings, []);
        assert_eq!((file.projects.len(), file.engines.len()), (1, 1));
        let [task] = &file.tasks[..] else { panic!("{file:?}") };
        assert_eq!((task.line, task.name.as_str()), (5, value));
        assert_eq!(task.target.written(), (kind, value.to_owned()));
        let slide = Settings::new(&file.projects[0], task).unwrap();
        assert_eq!(slide.cold, ColdRule::Below(3));
        assert_eq!(slide.threads_wanted.unwrap_or(slide.threads), 3);
    }
    let file = older("f", text);
    assert_eq!(file.tasks[0].target, Target::Comm("mysql".into()));
    let warnings: Vec<String> = file.warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "f:6: policies: type : pid/name leaves a choice, and type : name with value : mysql is taken; write \
             the one you mean"
        ]
    );
}
