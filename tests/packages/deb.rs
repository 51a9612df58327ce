//! Debian's packages: which files they have, and what lintian says.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::process::Command;

use anyhow::{Context, Result, ensure};
use etmem_testkit::built::top;

use crate::built::{self, VERSIONS, built, file, success};

const ALL: [&str; 5] =
    ["etmem", "libetmemd-scan", "libetmemd-scan-dev", "etmem-dbgsym", "libetmemd-scan-dbgsym"];

/// What openEuler's package and its cmake install put where, and what a Debian package has besides: path, mode.
const ORIGINAL: [(&str, &str); 10] = [
    ("/usr/bin/etmem", "-rwxr-xr-x"),
    ("/usr/bin/etmemd", "lrwxrwxrwx"),
    ("/etc/etmem/", "drwxr-x---"),
    ("/etc/etmem/conf.d/", "drwxr-x---"),
    ("/etc/etmem/cslide_conf.yaml", "-rw-------"),
    ("/etc/etmem/damon_conf.yaml", "-rw-------"),
    ("/etc/etmem/example_conf.yaml", "-rw-------"),
    ("/etc/etmem/psi_conf.yaml", "-rw-------"),
    ("/etc/etmem/slide_conf.yaml", "-rw-------"),
    ("/etc/etmem/thirdparty_conf.yaml", "-rw-------"),
];

/// What Debian wants of each package beside the rows of the table.
const DEBIAN: [&str; 3] = ["changelog.Debian.gz", "changelog.gz", "copyright"];

/// What a package has: path and mode, all of root; folders end in a slash.
fn contents(package: &str) -> Result<BTreeMap<String, String>> {
    let deb = file(built()?, package, VERSIONS[0])?;
    let listed = success(Command::new("dpkg-deb").arg("--contents").arg(&deb))?;
    let lines = listed.stdout.lines().map(|line| {
        let mut words = line.split_whitespace();
        let mode = words.next().context("no mode")?;
        ensure!(words.next() == Some("root/root"), "not of root: {line}");
        let path = words.nth(3).and_then(|path| path.strip_prefix('.')).context("no path")?;
        Ok((path.to_owned(), mode.to_owned()))
    });
    lines.collect()
}

/// A row of `packaging/files`.
#[derive(Debug)]
struct Row {
    path: String,
    source: String,
}

/// The rows for `package`.
fn rows(package: &str) -> Result<Vec<Row>> {
    let table = fs::read_to_string(top().join("packaging/files"))?;
    let mut rows = Vec::new();
    for line in table.lines().filter(|line| !line.starts_with('#')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        if let [name, _, path, source] = words[..]
            && name == package
        {
            rows.push(Row { path: path.to_owned(), source: source.to_owned() });
        }
    }
    // A folder has what no other row names.
    rows.sort_by_key(|row| row.path.ends_with('/'));
    Ok(rows)
}

/// Each package has its rows of the table and nothing else but what Debian wants of it; the daemon's has all that openEuler's
/// has; configuration is marked as such.
pub(crate) fn files() -> Result<()> {
    let etmem = contents("etmem")?;
    for (path, mode) in ORIGINAL {
        ensure!(
            etmem.get(path).map(String::as_str) == Some(mode),
            "{path}: {:?}, not {mode}",
            etmem.get(path)
        );
    }
    let configuration: BTreeSet<&String> =
        etmem.keys().filter(|path| path.starts_with("/etc/") && !path.ends_with('/')).collect();
    let deb = file(built()?, "etmem", VERSIONS[0])?;
    let marked = success(Command::new("dpkg-deb").arg("--info").arg(&deb).arg("conffiles"))?;
    let marked: BTreeSet<String> = marked.stdout.lines().map(str::to_owned).collect();
    ensure!(configuration == marked.iter().collect(), "{configuration:?} is not {marked:?}");

    let library = success(Command::new("cc").arg("-print-multiarch"))?;
    let library = format!("/usr/lib/{}", library.stdout.trim());
    for package in &ALL[..3] {
        let all = contents(package)?;
        let mut left: BTreeSet<&String> = all.keys().filter(|path| !path.ends_with('/')).collect();
        for Row { path, source } in rows(package)? {
            let path = path.replace("LIBDIR", &library).replace("UNITDIR", "/usr/lib/systemd/system");
            if source == "-" {
                ensure!(all.contains_key(&path), "{package} has no folder {path}");
                continue;
            }
            let of_row = |found: &str| {
                let found = found.strip_suffix(".gz").unwrap_or(found);
                found == path || found.rsplit_once('/').is_some_and(|(above, _)| path == format!("{above}/"))
            };
            let before = left.len();
            left.retain(|found| !of_row(found));
            ensure!(left.len() < before, "{package} has nothing at {path}");
        }
        let doc = format!("/usr/share/doc/{package}/");
        let known: BTreeSet<String> = DEBIAN.iter().map(|name| format!("{doc}{name}")).collect();
        left.retain(|path| !known.contains(*path));
        ensure!(left.is_empty(), "no row of packaging/files: {left:?}");
    }
    let symbols = contents("etmem-dbgsym")?;
    let count = symbols.keys().filter(|path| path.ends_with(".debug")).count();
    ensure!(count == 2, "debug symbols of {count} programs: {symbols:?}");
    Ok(())
}

/// By the profile of Debian's own archive.
pub(crate) fn lintian() -> Result<()> {
    let mut command = Command::new("lintian");
    command.args(["--allow-root", "--fail-on", "error", "--profile", "debian"]);
    for package in ALL {
        command.arg(file(built()?, package, VERSIONS[0])?);
    }
    let judged = success(&mut command)?;
    println!("{}", judged.stdout);
    Ok(())
}

/// Built again, elsewhere.
pub(crate) fn twice() -> Result<()> {
    let first = file(built()?, "etmem", VERSIONS[0])?;
    let again = tempfile::tempdir()?;
    built::make(&built::programs(), again.path(), VERSIONS[0], &["etmem"])?;
    let second = file(again.path(), "etmem", VERSIONS[0])?;
    ensure!(fs::read(first)? == fs::read(second)?, "two builds of one tree differ");
    Ok(())
}
