//! The checks of a configuration file, against real files.
//!
//! Only root can make files that pass the owner check: elsewhere those tests are reported as ignored, with the
//! reason in their names.

use etmem_config::error::FileError;
use etmem_config::section::project::PAGE;
use etmem_config::{ConfigError, ConfigFile, FaultClass, Keys, KindKeys, ListedObjects};
use etmem_core::name::Name;
use libtest_mimic::{Arguments, Failed, Trial};
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use tempfile::TempDir;

const GOOD: &str = "[project]\nname=a\nloop=1\ninterval=1\nsleep=1\n";
const OLDER: &str = "options:\nloop: 1\ninterval: 1\nsleep: 1\npolicies:\ntype: pid\nvalue: 1\n\
                     engine: slide\nparam:\nT: 1\n";

/// The one kind of engine that these files name.
static KIND: KindKeys = KindKeys {
    name: "slide",
    engine: Keys::NONE,
    task: Keys::NONE,
    scan: &PAGE,
    own_name: None,
    machine: None,
    target: None,
};

fn load(path: &Path) -> Result<ConfigFile, ConfigError> {
    etmem_config::load(path, &[&KIND])
}

fn load_names(path: &Path) -> Result<ListedObjects, ConfigError> {
    etmem_config::load_names(path, &[&KIND])
}

fn load_older(path: &Path, project: &Name) -> Result<ConfigFile, ConfigError> {
    etmem_config::load_older(path, project, &[&KIND])
}

fn main() -> ExitCode {
    let root = nix::unistd::geteuid().is_root();
    let anyone = |name: &str, run: fn(&Path) -> Result<(), Failed>| Trial::test(name, in_directory(run));
    let root_only = |name: &str, run: fn(&Path) -> Result<(), Failed>| {
        let name = if root { name.to_owned() } else { format!("{name} [skipped: needs root]") };
        Trial::test(name, in_directory(run)).with_ignored_flag(!root)
    };
    let trials = vec![
        anyone("missing_file", missing_file),
        anyone("directory_pipe_socket_and_device", not_regular),
        root_only("owner_must_be_root", owner_must_be_root),
        root_only("group_must_be_root", group_must_be_root),
        root_only("mode_must_be_0600_or_0400", mode_must_be_private),
        root_only("size_at_most_10_mib", size_is_bounded),
        root_only("symbolic_links_are_followed", links_are_followed),
        root_only("not_utf8", not_utf8),
        root_only("accepted_for_each_purpose", accepted_for_each),
        root_only("checked_before_it_is_read", checked_before_it_is_read),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn in_directory(run: fn(&Path) -> Result<(), Failed>) -> impl FnOnce() -> Result<(), Failed> {
    move || run(TempDir::new()?.path())
}

fn write(directory: &Path, content: impl AsRef<[u8]>, mode: u32) -> Result<PathBuf, Failed> {
    let path = directory.join("slide.yaml");
    fs::write(&path, content)?;
    fs::set_permissions(&path, Permissions::from_mode(mode))?;
    Ok(path)
}

/// The answer to `path` is `want`, in which FILE stands for the path, whatever it is read for.
fn refused(path: &Path, want: &str, class: FaultClass) -> Result<(), Failed> {
    let want = want.replace("FILE", &path.display().to_string());
    let project = Name::new("p")?;
    let answers =
        [load(path).map(|_| ()), load_names(path).map(|_| ()), load_older(path, &project).map(|_| ())];
    for answer in answers {
        let error = answer.err().ok_or("the file was accepted")?;
        if error.to_string() != want || error.class() != class {
            return Err(format!("got  {error} {:?}\nwant {want} {class:?}", error.class()).into());
        }
    }
    Ok(())
}

fn accepted_for_each(directory: &Path) -> Result<(), Failed> {
    let path = write(directory, GOOD, 0o600)?;
    let (file, listed) = (load(&path)?, load_names(&path)?);
    if (file.path, file.projects.len()) != (path.clone(), 1) || listed.projects.len() != 1 {
        return Err(format!("got {listed:?}").into());
    }
    let path = write(directory, OLDER, 0o400)?;
    let file = load_older(&path, &Name::new("p")?)?;
    if (file.path, file.projects.len(), file.tasks.len()) != (path, 1, 1) {
        return Err("got another project than it lists".into());
    }
    Ok(())
}

/// A file that others may have written is not looked into.
fn checked_before_it_is_read(directory: &Path) -> Result<(), Failed> {
    let path = write(directory, b"\xff nothing of this is right", 0o644)?;
    let want = "FILE: has mode 0644, must have 0600 or 0400; run chmod 600 FILE";
    refused(&path, want, FaultClass::InvalidParameters)
}

fn missing_file(directory: &Path) -> Result<(), Failed> {
    refused(
        &directory.join("none"),
        "FILE: cannot be read: No such file or directory (os error 2); check the path as etmemd sees it",
        FaultClass::InvalidParameters,
    )
}

fn not_regular(directory: &Path) -> Result<(), Failed> {
    let pipe = directory.join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU)?;
    let socket = directory.join("socket");
    let _listener = UnixListener::bind(&socket)?;
    for (path, kind) in [
        (directory, "a directory"),
        (&pipe, "a pipe"),
        (&socket, "a socket or a device that is not there"),
        (Path::new("/dev/null"), "a device"),
    ] {
        let want = format!("FILE: is {kind}, must be a regular file; name the configuration file itself");
        refused(path, &want, FaultClass::InvalidParameters)?;
    }
    Ok(())
}

fn owner_must_be_root(directory: &Path) -> Result<(), Failed> {
    let path = write(directory, GOOD, 0o600)?;
    chown(&path, Some(65534), Some(0))?;
    let want = "FILE: belongs to 65534:0 (uid:gid), must belong to root:root; run chown root:root FILE";
    refused(&path, want, FaultClass::InvalidParameters)
}

fn group_must_be_root(directory: &Path) -> Result<(), Failed> {
    let path = write(directory, GOOD, 0o600)?;
    chown(&path, Some(0), Some(65534))?;
    let want = "FILE: belongs to 0:65534 (uid:gid), must belong to root:root; run chown root:root FILE";
    refused(&path, want, FaultClass::InvalidParameters)
}

fn mode_must_be_private(directory: &Path) -> Result<(), Failed> {
    for mode in [0o600, 0o400] {
        load(&write(directory, GOOD, mode)?)?;
    }
    for mode in [0o644, 0o640, 0o700, 0o500, 0o200, 0o000, 0o4600, 0o1600] {
        let path = write(directory, GOOD, mode)?;
        let want = format!("FILE: has mode {mode:04o}, must have 0600 or 0400; run chmod 600 FILE");
        refused(&path, &want, FaultClass::InvalidParameters)?;
    }
    Ok(())
}

fn size_is_bounded(directory: &Path) -> Result<(), Failed> {
    let limit = usize::try_from(etmem_config::file::SIZE_MAX)?;
    let mut content = format!("{GOOD}#").into_bytes();
    content.resize(limit, b'x');
    load(&write(directory, &content, 0o600)?)?;
    content.push(b'x');
    let path = write(directory, &content, 0o600)?;
    let want = "FILE: has more than 10485760 bytes (10 MiB); spread its groups over several files";
    refused(&path, want, FaultClass::InvalidParameters)?;

    // A file whose size is only claimed is refused before it is read.
    File::options().write(true).open(&path)?.set_len(1 << 40)?;
    match load(&path) {
        Err(ConfigError::File(FileError::TooLarge(_))) => Ok(()),
        other => Err(format!("got {other:?}").into()),
    }
}

fn links_are_followed(directory: &Path) -> Result<(), Failed> {
    let path = write(directory, GOOD, 0o600)?;
    let link = directory.join("link");
    symlink(&path, &link)?;
    let file = load(&link)?;
    if file.path != link || file.projects.len() != 1 {
        return Err(format!("got {file:?}").into());
    }
    fs::set_permissions(&path, Permissions::from_mode(0o644))?;
    let want = "FILE: has mode 0644, must have 0600 or 0400; run chmod 600 FILE";
    refused(&link, want, FaultClass::InvalidParameters)?;
    fs::remove_file(&path)?;
    let want =
        "FILE: cannot be read: No such file or directory (os error 2); check the path as etmemd sees it";
    refused(&link, want, FaultClass::InvalidParameters)
}

fn not_utf8(directory: &Path) -> Result<(), Failed> {
    let path = write(directory, b"[project]\nname=\xff\n", 0o600)?;
    refused(&path, "FILE:2: is not UTF-8 text; save the file as UTF-8", FaultClass::Internal)
}
