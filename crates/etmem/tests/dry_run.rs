//! `etmem obj add --dry-run` and `etmem project add --dry-run`: the real program on real files, with no daemon.
//!
//! Only root can make files that pass the owner check: elsewhere those tests are reported as ignored, with the
//! reason in their names.

use std::ffi::OsStr;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use libtest_mimic::{Arguments, Failed, Trial};
use nix::unistd::geteuid;
use tempfile::TempDir;

const PROJECT: &str = "[project]\nname=p\nloop=1\ninterval=1\nsleep=1\n";
const ENGINE: &str = "[engine]\nproject=p\nname=slide\n";
const TASK: &str = "[task]\nproject=p\nengine=slide\nname=t\ntype=name\nvalue=mysqld\nT=1\n";
const MEMDCD: &str = "[engine]\nproject=p\nname=memdcd\n\
                      [task]\nproject=p\nengine=memdcd\nname=t\ntype=pid\nvalue=1\nSock=-\n";
const CSLIDE: &str = "[engine]\nproject=p\nname=cslide\nnode_pair=2,0\nhot_threshold=1\nnode_mig_quota=1\n\
                      node_hot_reserve=1\n[task]\nproject=p\nengine=cslide\nname=t\ntype=pid\nvalue=1\n";
const OLDER: &str = "options:\n\tloop : 3\n\tinterval : 1\n\tsleep : 2\n\tpolicies:\n\t\ttype : name\n\
                     \t\tvalue : mysqld\n\t\tmax_threads : 3\n\t\tengine : slide\n\t\tparam :\n\t\t\tT : 3\n";

fn main() -> ExitCode {
    let root = geteuid().is_root();
    let root_only = |name: &str, run: fn() -> Result<(), Failed>| {
        let name = if root { name.to_owned() } else { format!("{name} [skipped: needs root]") };
        Trial::test(name, run).with_ignored_flag(!root)
    };
    let trials = vec![
        root_only("accepted_and_refused", accepted_and_refused),
        root_only("every_sample_loads", every_sample_loads),
        Trial::test("the_file_checks_are_the_daemons", file_checks),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

/// What it prints of a `path`, and its number.
fn dry_run<W: AsRef<OsStr>>(
    words: impl IntoIterator<Item = W>,
    path: &Path,
) -> Result<(String, Option<i32>), Failed> {
    let output = Command::new(env!("CARGO_BIN_EXE_etmem"))
        .args(words)
        .arg("--dry-run")
        .arg("-f")
        .arg(path)
        // A daemon that listens there would have to be asked for.
        .env("ETMEM_SOCKET", "etmem-nobody-listens-here")
        .output()?;
    assert_eq!(String::from_utf8(output.stderr)?, "", "nothing on standard error");
    let text = String::from_utf8(output.stdout)?.replace(&path.display().to_string(), "FILE");
    Ok((text, output.status.code()))
}

fn write(folder: &Path, content: &str) -> Result<PathBuf, Failed> {
    let path = folder.join("file.yaml");
    fs::write(&path, content)?;
    fs::set_permissions(&path, Permissions::from_mode(0o600))?;
    Ok(path)
}

fn accepted_and_refused() -> Result<(), Failed> {
    const ADD: &[&str] = &["obj", "add"];
    const STRICT: &[&str] = &["obj", "add", "--strict"];
    const OLD: &[&str] = &["project", "add", "-n", "p"];
    let folder = TempDir::new()?;
    let misspelt = PROJECT.replace("loop", "colour=red\nloop");
    for (words, content, text, number) in [
        (ADD, format!("{PROJECT}{ENGINE}{TASK}"), "FILE: no fault found in 1 project, 1 engine, 1 task\n", 0),
        (
            ADD,
            format!("{TASK}{ENGINE}"),
            "FILE: no fault found in 0 projects, 1 engine, 1 task\n\
             note: project p is not in this file: etmemd has to have it\n",
            0,
        ),
        (
            ADD,
            format!("{PROJECT}{TASK}{}", TASK.replace("name=t", "name=u")),
            "FILE: no fault found in 1 project, 0 engines, 2 tasks\n\
             note: engine slide of project p is not in this file: etmemd has to have it\n",
            0,
        ),
        (
            ADD,
            misspelt.clone(),
            "FILE: no fault found in 1 project, 0 engines, 0 tasks\n\
             warning: FILE:3: [project] unknown key colour is ignored; the nearest known one is loop\n",
            0,
        ),
        (
            STRICT,
            misspelt,
            "error: invalid parameters\n\
             FILE:3: [project] unknown key colour is ignored; the nearest known one is loop; --strict refuses \
             it\n",
            186,
        ),
        (STRICT, PROJECT.to_owned(), "FILE: no fault found in 1 project, 0 engines, 0 tasks\n", 0),
        (
            ADD,
            PROJECT.replace("loop=1", "loop=0"),
            "error: invalid parameters\nFILE:3: [project] loop=0: must be 1..=120\n",
            186,
        ),
        (
            ADD,
            format!("{PROJECT}{ENGINE}{}", TASK.replace("T=1", "T=4")),
            "error: etmemd has internal error, see reason details in messages\n\
             FILE:15: [task] T=4: must be 0..=3 (3 times loop=1 of project p)\n",
            186,
        ),
        (
            ADD,
            PROJECT.repeat(2),
            "error: project has been existed\nFILE:6: project p is in this file already\n",
            186,
        ),
        (
            ADD,
            ENGINE.repeat(2),
            "error: engine has been existed\nFILE:4: engine slide of project p is in this file already\n",
            186,
        ),
        (
            ADD,
            TASK.repeat(2),
            "error: task has been existed\n\
             FILE:8: task t of engine slide of project p is in this file already\n",
            186,
        ),
        (ADD, format!("{PROJECT}{CSLIDE}"), "FILE: no fault found in 1 project, 1 engine, 1 task\n", 0),
        (
            ADD,
            format!("{PROJECT}{MEMDCD}"),
            "FILE: no fault found in 1 project, 1 engine, 1 task\n\
             note: FILE:6: engine memdcd is not built into this version, which has: slide, cslide; it would be \
             refused\n",
            0,
        ),
        (
            ADD,
            OLDER.to_owned(),
            "FILE: no fault found in 1 project, 1 engine, 1 task\n\
             note: a file of etmem 1.0: it is added with etmem project add -n NAME -f FILE\n",
            0,
        ),
        (OLD, OLDER.to_owned(), "FILE: no fault found in 1 project, 1 engine, 1 task\n", 0),
    ] {
        let path = write(folder.path(), &content)?;
        assert_eq!(dry_run(words, &path)?, (text.to_owned(), Some(number)), "{content}");
    }
    let path = write(folder.path(), PROJECT)?;
    let (text, number) = dry_run(OLD, &path)?;
    assert_eq!(number, Some(186), "{text}");
    assert!(text.contains("etmem obj add -f"), "{text}");
    Ok(())
}

/// Those that are installed, and those of the original's manuals.
fn every_sample_loads() -> Result<(), Failed> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let folder = TempDir::new()?;
    let mut loaded = 0;
    for samples in ["etc/etmem", "crates/etmem-config/tests/samples"] {
        for entry in fs::read_dir(root.join(samples))? {
            let sample = entry?.path();
            let content = fs::read_to_string(&sample)?;
            let path = write(folder.path(), &content)?;
            let (text, number) = dry_run(["obj", "add"], &path)?;
            assert_eq!(number, Some(0), "{}: {text}", sample.display());
            assert!(text.starts_with("FILE: no fault found in "), "{}: {text}", sample.display());
            loaded += 1;
        }
    }
    assert!(loaded >= 10, "{loaded} samples");
    Ok(())
}

fn file_checks() -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let missing = folder.path().join("missing.yaml");
    let (text, number) = dry_run(["obj", "add"], &missing)?;
    assert_eq!(number, Some(186));
    assert!(text.starts_with("error: invalid parameters\nFILE: cannot be read: No such file"), "{text}");
    let path = write(folder.path(), PROJECT)?;
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    let (text, number) = dry_run(["obj", "add"], &path)?;
    assert_eq!(number, Some(186));
    assert!(text.contains("FILE: has mode 0644") || text.contains("FILE: belongs to"), "{text}");
    Ok(())
}
