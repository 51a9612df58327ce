//! What a file says now, and what of it was the same before.

use super::*;
use crate::config_folder::ConfigFolder;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

const OTHER: &str = "[project]\nname=q\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=q\nname=noop\n\
                     [task]\nproject=q\nengine=noop\nname=u\ntype=name\nvalue=mysqld\n";

fn whole(edit: (&str, &str)) -> ConfigFile {
    file(&format!("{PROJECT}{ENGINE}{TASK}").replace(edit.0, edit.1))
}

fn started() -> Registry {
    let mut registry = registry();
    registry.add(&all()).unwrap();
    registry.start(&name("p")).unwrap();
    registry
}

#[test]
fn what_a_task_goes_on_by_and_what_makes_it_begin_again() {
    for (edit, way) in [
        (("T=1", "T=2"), "goes on"),
        (("sleep=1", "sleep=9"), "goes on"),
        (("T=1", "T=1\nmax_rate=5m\nmax_swap_use=50\nmax_refault=1\nmax_cpu=3"), "goes on"),
        (("loop=1", "loop=2"), "begins again"),
        (("T=1", "T=1\ndry_run=yes"), "begins again"),
        (("T=1", "T=1\nage=none"), "begins again"),
        (("sleep=1", "sleep=1\ntrigger=free 5%"), "begins again"),
    ] {
        let mut registry = started();
        let lines = registry.change(&whole(edit)).unwrap();
        assert!(
            lines.iter().any(|line| line.contains(&format!("task t of project p {way}"))),
            "{edit:?} {lines:?}"
        );
        assert_eq!(running(&registry), 1);
        assert_eq!(registry.change(&whole(edit)).unwrap(), Vec::<String>::new(), "it is so already");
        registry.shut_down(Duration::from_secs(60));
    }
}

#[test]
fn the_difference_is_said_and_nothing_is_changed_by_that() {
    let mut registry = started();
    let file = whole(("T=1", "T=2\n[task]\nproject=p\nengine=slide\nname=new\ntype=name\nvalue=x\nT=1"));
    let lines = registry.difference(&file).unwrap();
    assert_eq!(
        lines,
        [
            "added task new of project p",
            "task t of project p: T=1 is T=2 now",
            "task t of project p goes on, and does so from its next cycle on"
        ]
    );
    assert_eq!(registry.difference(&all()).unwrap(), Vec::<String>::new());
    registry.change(&file).unwrap();
    assert_eq!(running(&registry), 2);
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn what_is_refused_leaves_all_as_it_was() {
    let mut registry = started();
    let before = shown(&registry);
    for edit in [
        ("T=1", "T=99"),
        ("value=42", "value=43"),
        ("T=1", "T=2\n[task]\nproject=p\nengine=slide\nname=new\ntype=pid\nvalue=43\nT=1"),
    ] {
        let denied = registry.change(&whole(edit)).unwrap_err();
        assert!(denied.to_string().starts_with("t.yaml:"), "{denied}");
        assert_eq!((shown(&registry), running(&registry)), (before.clone(), 1), "{edit:?}");
        assert_eq!(registry.difference(&all()).unwrap(), Vec::<String>::new(), "{edit:?}");
    }
    registry.shut_down(Duration::from_secs(60));
}

/// One project goes on by other limits, the other would have to be made again, and its task is refused.
#[test]
fn a_project_that_cannot_be_made_again_leaves_the_others_as_they_were() {
    let second = |engine: &str, threshold: u8| {
        format!(
            "[project]\nname=q\nloop=1\ninterval=1\nsleep=1\n[engine]\nproject=q\nname=slide\n{engine}\
             [task]\nproject=q\nengine=slide\nname=u\ntype=pid\nvalue=42\nT={threshold}\n"
        )
    };
    let both = |first: u8, engine: &str, second_threshold: u8| {
        let first = format!("{PROJECT}{ENGINE}{TASK}").replace("T=1", &format!("T={first}"));
        file(&format!("{first}{}", second(engine, second_threshold)))
    };
    let mut registry = registry();
    registry.add(&both(1, "", 1)).unwrap();
    registry.start(&name("p")).unwrap();
    registry.start(&name("q")).unwrap();
    let denied = registry.change(&both(2, "unknown=1\n", 99)).unwrap_err();
    assert!(denied.to_string().contains("T=99"), "{denied}");
    assert_eq!(running(&registry), 2);
    assert_eq!(registry.difference(&both(1, "", 1)).unwrap(), Vec::<String>::new(), "all is as it was");
    let lines = registry.change(&both(2, "unknown=1\n", 3)).unwrap();
    assert!(lines.contains(&"project q is made again".to_owned()), "{lines:?}");
    assert_eq!(running(&registry), 2);
    registry.shut_down(Duration::from_secs(60));
}

fn write(folder: &Path, name: &str, text: &str) {
    let path = folder.join(name);
    fs::write(&path, text).unwrap();
    fs::set_permissions(&path, Permissions::from_mode(0o600)).unwrap();
}

/// Files must belong to root.
#[test]
fn a_folder_is_read_again() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let files = tempfile::tempdir().unwrap();
    let (mut registry, mut folder) = (registry(), ConfigFolder::new(files.path().to_owned()));
    let first = format!("{PROJECT}{ENGINE}{TASK}");
    write(files.path(), "1.conf", &first);
    write(files.path(), "2.conf", OTHER);
    folder.load(&mut registry);
    assert_eq!(running(&registry), 2);
    assert_eq!(folder.reload(&mut registry).unwrap(), ["nothing is different"]);
    // One breaks, one goes, one comes that lists what another does.
    write(files.path(), "1.conf", &first.replace("T=1", "T=none"));
    fs::remove_file(files.path().join("2.conf")).unwrap();
    write(files.path(), "3.conf", &first);
    let (_, words) = folder.reload(&mut registry).unwrap_err();
    assert!(words[0].contains("1.conf:") && words[0].contains("T=none"), "{words:?}");
    assert!(words[1].contains("3.conf: project p is listed by"), "{words:?}");
    assert!(words[2..].contains(&"removed project q".to_owned()), "{words:?}");
    assert_eq!(running(&registry), 1, "what 1.conf said before stays");
    // It is mended, and the other one lists something else.
    write(files.path(), "1.conf", &first.replace("T=1", "T=3"));
    write(files.path(), "3.conf", &OTHER.replace("name=q\n", "name=q\nautostart=no\n"));
    let lines = folder.reload(&mut registry).unwrap();
    assert!(lines.iter().any(|line| line.contains("T=1 is T=3 now")), "{lines:?}");
    assert!(lines.contains(&"added project q".to_owned()), "{lines:?}");
    assert_eq!(running(&registry), 1, "it is only added");
    registry.shut_down(Duration::from_secs(60));
}

#[test]
fn a_file_is_kept_once_and_only_if_it_is_added() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let (files, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (mut registry, mut folder) = (registry(), ConfigFolder::new(files.path().join("conf.d")));
    write(elsewhere.path(), "db.yaml", &format!("{PROJECT}{ENGINE}{TASK}"));
    let from = elsewhere.path().join("db.yaml");
    let kept = files.path().join("conf.d/db.conf");
    let lines = folder.keep(&mut registry, &from).unwrap();
    assert_eq!(lines, [format!("kept as {}", kept.display())]);
    assert_eq!(fs::metadata(&kept).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(folder.keep(&mut registry, &from).unwrap_err()[0].to_string().contains("is there already"));
    assert_eq!(folder.reload(&mut registry).unwrap(), ["nothing is different"]);
    write(elsewhere.path(), "again.yaml", &format!("{PROJECT}{ENGINE}{TASK}"));
    let denied = folder.keep(&mut registry, &elsewhere.path().join("again.yaml")).unwrap_err();
    assert_eq!(denied[0].kind(), ErrorKind::ProjectExists);
    assert!(!files.path().join("conf.d/again.conf").exists());
    registry.shut_down(Duration::from_secs(60));
}
