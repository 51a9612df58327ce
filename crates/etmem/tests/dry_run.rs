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
const PSI: &str = "[project]\nname=p\nscan_type=psi\ninterval=1\n[engine]\nproject=p\nname=psi\n\
                   [task]\nproject=p\nengine=psi\nname=t\ntype=pid\nvalue=1\ncg_dir=a\n";
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
        root_only("a_library_passes_the_checks_that_need_no_loading", library_checks),
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
        (ADD, format!("{PROJECT}{MEMDCD}"), "FILE: no fault found in 1 project, 1 engine, 1 task\n", 0),
        (ADD, PSI.to_owned(), "FILE: no fault found in 1 project, 1 engine, 1 task\n", 0),
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
    for samples in ["etc/etmem", "crates/etmem-engine/tests/samples"] {
        for entry in fs::read_dir(root.join(samples))? {
            let sample = entry?.path();
            let content = fs::read_to_string(&sample)?;
            let path = write(folder.path(), &content)?;
            let (text, number) = dry_run(["obj", "add"], &path)?;
            loaded += 1;
            // Those with a plugin name a library that is not on this machine.
            if content.contains("name=thirdparty") {
                assert_eq!(number, Some(186), "{}: {text}", sample.display());
                assert!(text.contains(".so: cannot be opened: No such file"), "{}: {text}", sample.display());
                continue;
            }
            assert_eq!(number, Some(0), "{}: {text}", sample.display());
            assert!(text.starts_with("FILE: no fault found in "), "{}: {text}", sample.display());
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

fn library_checks() -> Result<(), Failed> {
    let folder = TempDir::new()?;
    let library = folder.path().join("lib.so");
    let engine = format!(
        "[engine]\nproject=p\nname=thirdparty\neng_name=mine\nops_name=ops\nlibname={}\n",
        library.display()
    );
    let task = "[task]\nproject=p\nengine=mine\nname=t\ntype=name\nvalue=mysqld\nkey=its own\n";
    let path = write(folder.path(), &format!("{PROJECT}{engine}{task}"))?;
    let run = || -> Result<(String, Option<i32>), Failed> {
        let (text, number) = dry_run(["obj", "add", "--strict"], &path)?;
        Ok((text.replace(&library.display().to_string(), "LIB"), number))
    };
    let refused = |rule: &str| {
        let first = "error: etmemd has internal error, see reason details in messages";
        (format!("{first}\nFILE:6: [engine] libname=LIB: {rule}\n"), Some(186))
    };
    assert_eq!(
        run()?,
        refused("cannot be opened: No such file or directory (os error 2); check the path as etmemd sees it")
    );
    fs::write(&library, "not looked into")?;
    fs::set_permissions(&library, Permissions::from_mode(0o755))?;
    assert_eq!(run()?, refused("LIB: has mode 0755, must have 0500 or 0700; run chmod 500 LIB"));
    nix::unistd::chown(&library, Some(7.into()), Some(0.into()))?;
    assert_eq!(
        run()?,
        refused("LIB: belongs to 7:0 (uid:gid), must belong to root:root; run chown root:root LIB")
    );
    nix::unistd::chown(&library, Some(0.into()), Some(0.into()))?;
    for mode in [0o500, 0o700] {
        fs::set_permissions(&library, Permissions::from_mode(mode))?;
        let text = "FILE: no fault found in 1 project, 1 engine, 1 task\n\
                    note: FILE:6: LIB is loaded, and has its say, only when it is added\n";
        assert_eq!(run()?, (text.to_owned(), Some(0)));
    }
    fs::remove_file(&library)?;
    fs::create_dir(&library)?;
    assert_eq!(run()?, refused("LIB: is not a regular file; name the shared object itself"));
    Ok(())
}
