//! A small Debian with systemd, as the disk of a virtual machine: of the same release as the machine that runs here, so that
//! programs built here find their libraries there.
//!
//! mmdebstrap installs it from where apt fetches packages here, once, into the user's cache. The machine writes to a
//! copy that ends with it. To have a newer one, remove the file.

use super::kernel_package::cache_folder;
use super::missing::{self, Missing};
use anyhow::{Context, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

/// Counted up with each change of what is in it.
const RECIPE: u32 = 1;
/// Beside what every Debian has: a service manager, and what plugins read their parameters with.
const PACKAGES: &str = "systemd,systemd-sysv,libglib2.0-0";
/// Of the disk. Nothing is there on this machine but what is in its files.
const SIZE: &str = "1G";
/// What is done in the folder `$1` once its packages are installed. Documents are left out. A machine has its identity, so
/// that systemd does not take each boot for the first, which enables all units. No terminal asks for a login. What was brought along to
/// /tmp stays there.
const FINISH: &str = r#"
rm -rf "$1"/usr/share/doc/* "$1"/usr/share/man/* "$1"/usr/share/locale/* "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/*
echo 7f2c5c1e6b0d4a3e9c8b7a6d5e4f3c2b >"$1"/etc/machine-id
echo laboratory >"$1"/etc/hostname
ln -s /dev/null "$1"/etc/systemd/system/getty.target
echo 'd /tmp 1777 root root -' >"$1"/etc/tmpfiles.d/tmp.conf
"#;

/// The disk; made when it is first asked for.
pub(crate) fn at_hand() -> anyhow::Result<PathBuf> {
    let release = release(&std::fs::read_to_string("/etc/os-release").unwrap_or_default())?;
    let cache = cache_folder()?;
    let place = cache.join(format!("systemd-{release}-{RECIPE}.ext4"));
    if !place.is_file() {
        std::fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
        make(&release, &cache, &place)?;
    }
    Ok(place)
}

/// The name of the Debian that runs here.
fn release(os_release: &str) -> anyhow::Result<String> {
    let value = |key: &str| {
        let line = os_release.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.map(|value| value.trim_matches('"').to_owned())
    };
    match (value("ID").as_deref(), value("VERSION_CODENAME")) {
        (Some("debian"), Some(name)) => Ok(name),
        _ => Err(Missing(
            "a machine with systemd is made of packages of Debian, which does not run here".to_owned(),
        )
        .into()),
    }
}

fn make(release: &str, cache: &Path, place: &Path) -> anyhow::Result<()> {
    eprintln!("vm: installing a small Debian {release}, once, for {}", cache.display());
    let folder =
        tempfile::tempdir_in(cache).with_context(|| format!("make a folder in {}", cache.display()))?;
    let (root, disk) = (folder.path().join("root"), folder.path().join("disk"));
    let mut install = Command::new("mmdebstrap");
    install.args(["--quiet", "--variant=essential", &format!("--include={PACKAGES}")]);
    install.arg("--aptopt=APT::Install-Recommends \"false\"");
    install.arg(format!("--customize-hook={FINISH}"));
    install.arg(release).arg(&root).args(sources(Path::new("/etc/apt"))?);
    let installed = missing::output(&mut install, "mmdebstrap")?;
    if !installed.status.success() {
        let complaint = missing::complaint(&installed);
        return Err(
            Missing(format!("mmdebstrap failed ({complaint}); it needs root and apt's sources")).into()
        );
    }
    let mut format = Command::new("mke2fs");
    format
        .args(["-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum", "-d"])
        .arg(&root)
        .arg(&disk)
        .arg(SIZE);
    let formatted = missing::output(format.env("PATH", path_of_administrators()), "e2fsprogs")?;
    if !formatted.status.success() {
        bail!("mke2fs failed: {}", missing::complaint(&formatted));
    }
    // Another run may have been quicker: its disk is as good.
    std::fs::rename(&disk, place).with_context(|| format!("move the disk to {}", place.display()))
}

/// The files that say where apt fetches packages.
fn sources(apt: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut files = vec![apt.join("sources.list")];
    if let Ok(entries) = std::fs::read_dir(apt.join("sources.list.d")) {
        files.extend(entries.filter_map(|entry| entry.ok().map(|entry| entry.path())));
    }
    files.retain(|file| {
        file.is_file() && file.extension().is_some_and(|ending| ending == "list" || ending == "sources")
    });
    files.sort();
    if files.is_empty() {
        bail!("no file in {} says where packages are", apt.display());
    }
    Ok(files)
}

fn path_of_administrators() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_release_that_runs_here() {
        let text = "PRETTY_NAME=\"Debian\"\nID=debian\nVERSION_CODENAME=bookworm\n";
        assert_eq!(release(text).unwrap(), "bookworm");
        for other in ["", "ID=fedora\nVERSION_CODENAME=\"\"\n", "ID=debian\n"] {
            assert!(release(other).unwrap_err().is::<Missing>(), "{other}");
        }
    }

    #[test]
    fn sources_are_those_that_apt_reads() {
        let apt = tempfile::tempdir().unwrap();
        assert!(sources(apt.path()).is_err());
        let folder = apt.path().join("sources.list.d");
        std::fs::create_dir(&folder).unwrap();
        for name in ["b.sources", "a.list", "c.list.disabled"] {
            std::fs::write(folder.join(name), "").unwrap();
        }
        assert_eq!(sources(apt.path()).unwrap(), [folder.join("a.list"), folder.join("b.sources")]);
    }
}
