//! RPM packages: which files they have, what rpmlint says, and installing them in a root of their own.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context, Result, anyhow, ensure};
use etmem_testkit::built::top;

use crate::built::{self, success};

/// What openEuler's package has: path, mode, whether an upgrade leaves it alone.
const ORIGINAL: [(&str, u32, bool); 8] = [
    ("/usr/bin/etmem", 0o755, false),
    ("/usr/sbin/etmemd", 0o755, false),
    ("/usr/lib/systemd/system/etmemd.service", 0o644, false),
    ("/etc/etmem/cslide_conf.yaml", 0o600, true),
    ("/etc/etmem/damon_conf.yaml", 0o600, true),
    ("/etc/etmem/psi_conf.yaml", 0o600, true),
    ("/etc/etmem/slide_conf.yaml", 0o600, true),
    ("/etc/etmem/thirdparty_conf.yaml", 0o600, true),
];

fn made() -> Result<&'static Path> {
    static FOLDER: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let made = || {
        built::built()?;
        let folder = built::packages().with_file_name("rpms");
        make(&folder)?;
        Ok(folder)
    };
    let folder = FOLDER.get_or_init(|| made().map_err(|error: anyhow::Error| format!("{error:#}")));
    folder.as_deref().map_err(|error| anyhow!(error.clone()))
}

fn make(folder: &Path) -> Result<()> {
    let mut command = Command::new(top().join("scripts/build-rpm"));
    command.arg(built::programs()).arg(folder);
    success(command.envs([("PAYLOAD", "w1.gzdio"), ("SOURCE_DATE_EPOCH", "1700000000")]))?;
    Ok(())
}

fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut paths: Vec<PathBuf> =
        fs::read_dir(folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path())).collect();
    paths.sort();
    ensure!(paths.len() == 5, "{paths:?}");
    Ok(paths)
}

/// The file of the daemon's package.
fn daemon() -> Result<PathBuf> {
    let mut paths = packages(made()?)?.into_iter();
    let is_it = |path: &PathBuf| {
        path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.starts_with("etmem-0"))
    };
    paths.find(is_it).context("no package etmem")
}

/// As openEuler's package has them, and a version by which rpm takes it for newer than that.
pub(crate) fn files() -> Result<()> {
    let format = "[%{FILENAMES} %{FILEMODES:octal} %{FILEUSERNAME} %{FILEFLAGS:fflags}\n]";
    let listed = success(Command::new("rpm").args(["-qp", "--queryformat", format]).arg(daemon()?))?;
    let rows: BTreeMap<&str, Vec<&str>> = listed
        .stdout
        .lines()
        .filter_map(|line| {
            let mut words = line.split_whitespace();
            Some((words.next()?, words.collect()))
        })
        .collect();
    for (path, mode, is_kept) in ORIGINAL {
        let row = rows.get(path).with_context(|| format!("no {path}"))?;
        let found = u32::from_str_radix(row[0], 8)? & 0o7777;
        ensure!(found == mode && row[1] == "root", "{path}: {row:?}");
        // c: configuration, n: not replaced.
        ensure!((row.get(2) == Some(&"cn")) == is_kept, "{path}: {row:?}");
    }
    let row = rows.get("/usr/bin/etmemd").context("no /usr/bin/etmemd")?;
    ensure!(row[0].starts_with("120"), "/usr/bin/etmemd is no link: {row:?}");
    let version =
        success(Command::new("rpm").args(["-qp", "--queryformat", "%{EPOCH}:%{VERSION}"]).arg(daemon()?))?;
    ensure!(version.stdout == format!("1:{}", env!("CARGO_PKG_VERSION")), "{}", version.stdout);
    Ok(())
}

pub(crate) fn lint() -> Result<()> {
    let mut command = Command::new("rpmlint");
    command.arg("--config").arg(top().join("packaging/rpmlint.toml")).args(packages(made()?)?);
    let judged = success(command.arg(top().join("packaging/etmem.spec")))?;
    ensure!(judged.stdout.contains(" 0 errors,"), "{}", judged.stdout);
    Ok(())
}

/// Built again.
pub(crate) fn twice() -> Result<()> {
    let again = tempfile::tempdir()?;
    make(again.path())?;
    for (first, second) in packages(made()?)?.into_iter().zip(packages(again.path())?) {
        ensure!(fs::read(&first)? == fs::read(second)?, "two builds of {} differ", first.display());
    }
    Ok(())
}

/// In a root of its own with the programs that the scriptlets call: installed, configuration kept by an upgrade, removed.
pub(crate) fn installs() -> Result<()> {
    let root = tempfile::tempdir()?;
    for folder in ["bin", "sbin", "lib", "lib64", "var/lib/rpm", "run/etmem"] {
        fs::create_dir_all(root.path().join(folder))?;
    }
    let libraries = success(Command::new("ldd").arg(built::programs().join("etmemd")))?;
    let libraries = libraries.stdout.split_whitespace().filter(|word| word.starts_with('/'));
    for library in libraries.chain(["/bin/busybox"]) {
        let place = root.path().join(library.trim_start_matches('/'));
        fs::create_dir_all(place.parent().context("no folder")?)?;
        fs::copy(library, &place).with_context(|| library.to_owned())?;
    }
    std::os::unix::fs::symlink("/bin/busybox", root.path().join("bin/sh"))?;
    std::os::unix::fs::symlink("/bin/busybox", root.path().join("bin/rm"))?;
    let rpm = |words: &[&str]| {
        let mut command = Command::new("rpm");
        command.arg("--root").arg(root.path()).args(["--dbpath", "/var/lib/rpm", "--nodeps"]).args(words);
        success(&mut command)
    };
    let package = daemon()?;
    let package = package.to_str().context("no UTF-8")?;
    let installed = rpm(&["--install", package])?;
    ensure!(!installed.stderr.contains("scriptlet failed"), "{}", installed.stderr);
    let folder = fs::metadata(root.path().join("etc/etmem"))?;
    ensure!(folder.permissions().mode() & 0o7777 == 0o750, "{:o}", folder.permissions().mode());
    let version = success(Command::new("chroot").arg(root.path()).args(["/usr/bin/etmemd", "--version"]))?;
    ensure!(version.stdout.contains(env!("CARGO_PKG_VERSION")), "{}", version.stdout);
    let sample = root.path().join("etc/etmem/slide_conf.yaml");
    fs::write(&sample, "# of the administrator\n")?;
    rpm(&["--upgrade", "--force", package])?;
    ensure!(fs::read_to_string(&sample)? == "# of the administrator\n", "configuration was overwritten");
    let removed = rpm(&["--erase", "etmem"])?;
    ensure!(!removed.stderr.contains("scriptlet failed"), "{}", removed.stderr);
    for left in ["usr/sbin/etmemd", "usr/bin/etmemd", "run/etmem", "usr/lib/systemd/system/etmemd.service"] {
        ensure!(!root.path().join(left).exists(), "{left} is left");
    }
    // What the administrator changed stays, under another name.
    let listed =
        success(Command::new("find").arg(root.path()).args(["-name", "*etmem*", "-printf", "%P\\n"]))?;
    let left: Vec<&str> = listed.stdout.lines().filter(|path| *path != "etc/etmem").collect();
    ensure!(left.is_empty(), "left: {left:?}");
    Ok(())
}
