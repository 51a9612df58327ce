//! The kernel: Debian's package of it, fetched when first asked for, unpacked below the user's cache, never installed.
//!
//! A kernel that is in the cache is used as it is; to fetch a newer one, remove its folder. The
//! kernel that runs here (`HOST`) is taken from where it is installed, and never fetched.

use super::missing::{self, Missing};
use anyhow::{Context, bail};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;

const PREFIX: &str = "linux-image-";
const SUFFIX: &str = "-amd64";

/// Which line of kernels, such as 6.12.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Series {
    major: u32,
    minor: u32,
}

impl FromStr for Series {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text
            .split_once('.')
            .and_then(|(major, minor)| Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? }));
        numbers.ok_or_else(|| "a series of kernels is two numbers, such as 6.12".to_owned())
    }
}

impl fmt::Display for Series {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.major, self.minor)
    }
}

/// Which kernel is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// The newest of Debian's kernels of this series.
    Series(Series),
    /// The one that runs here.
    Host,
}

impl FromStr for Wanted {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "HOST" {
            return Ok(Self::Host);
        }
        text.parse().map(Self::Series).map_err(|error| format!("{error}, or HOST, the kernel that runs here"))
    }
}

/// A kernel, its files at hand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// The image to boot.
    pub(crate) image: PathBuf,
    /// The folder of its modules.
    pub(crate) modules: PathBuf,
}

/// The files of the kernel that is `wanted`.
pub(crate) fn at_hand(wanted: Wanted) -> anyhow::Result<Kernel> {
    match wanted {
        Wanted::Series(series) => unpacked(series),
        Wanted::Host => {
            let path = "/proc/sys/kernel/osrelease";
            let release = std::fs::read_to_string(path).with_context(|| format!("read {path}"))?;
            running(release.trim(), Path::new("/"))
        }
    }
}

/// The kernel `release` as it is installed below `top`: where Debian has the image, or where Fedora and others have it.
fn running(release: &str, top: &Path) -> anyhow::Result<Kernel> {
    let modules = top.join("lib/modules").join(release);
    let images = [top.join(format!("boot/vmlinuz-{release}")), modules.join("vmlinuz")];
    let Some(image) = images.iter().find(|image| image.is_file()) else {
        return Err(Missing(format!(
            "the image of the kernel that runs here, {release}, is not at hand: there is neither {} nor {}; install its \
             package, or take --kernel 6.12",
            images[0].display(),
            images[1].display()
        ))
        .into());
    };
    Ok(Kernel { image: image.clone(), modules })
}

/// The newest kernel of `series` that the cache has, or else that Debian's package lists offer, unpacked there.
fn unpacked(series: Series) -> anyhow::Result<Kernel> {
    let cache = cache_folder()?;
    std::fs::create_dir_all(&cache).with_context(|| format!("make {}", cache.display()))?;
    let package = match newest(&series, &names_in(&cache)?) {
        Some(package) => package,
        None => fetch(series, &cache)?,
    };
    let release = package.trim_start_matches(PREFIX);
    let folder = cache.join(&package);
    let kernel = Kernel {
        image: folder.join(format!("boot/vmlinuz-{release}")),
        modules: folder.join("lib/modules").join(release),
    };
    if !kernel.image.is_file() || !kernel.modules.is_dir() {
        bail!("{} is not an unpacked kernel; remove it, and it is fetched again", folder.display());
    }
    Ok(kernel)
}

/// Below what XDG calls the user's cache, so that all checkouts of one user share the kernels.
pub(crate) fn cache_folder() -> anyhow::Result<PathBuf> {
    let folder = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    let cache = folder("XDG_CACHE_HOME").or_else(|| folder("HOME").map(|home| home.join(".cache")));
    Ok(cache
        .context("neither XDG_CACHE_HOME nor HOME says where to keep kernels; set one of them")?
        .join("etmem-vm"))
}

fn names_in(cache: &Path) -> anyhow::Result<Vec<String>> {
    let listed = || format!("list {}", cache.display());
    std::fs::read_dir(cache)
        .with_context(listed)?
        .map(|entry| Ok(entry.with_context(listed)?.file_name().to_string_lossy().into_owned()))
        .collect()
}

/// Fetches and unpacks the newest package of `series`; its name.
fn fetch(series: Series, cache: &Path) -> anyhow::Result<String> {
    let names = missing::output(
        Command::new("apt-cache").arg("pkgnames").arg(format!("{PREFIX}{series}.")),
        "apt (kernels for the laboratory come from Debian's packages)",
    )?;
    let names: Vec<String> = String::from_utf8_lossy(&names.stdout).lines().map(str::to_owned).collect();
    let Some(package) = newest(&series, &names) else {
        return Err(Missing(format!(
            "apt's lists have no package {PREFIX}{series}.*{SUFFIX}; run apt-get update, as make setup does"
        ))
        .into());
    };

    eprintln!("vm: fetching {package} from Debian, once, for {}", cache.display());
    let fetched =
        tempfile::tempdir_in(cache).with_context(|| format!("make a folder in {}", cache.display()))?;
    // In a folder that only its owner may read, apt's own user can write nothing: apt would warn, and go on.
    let download = missing::output(
        Command::new("apt-get")
            .args(["--quiet", "--option", "APT::Sandbox::User=", "download", &package])
            .current_dir(fetched.path()),
        "apt",
    )?;
    if !download.status.success() {
        let complaint = missing::complaint(&download);
        return Err(Missing(format!(
            "apt-get download {package} failed ({complaint}); run apt-get update, as make setup does, and try again"
        ))
        .into());
    }
    let unpacked = fetched.path().join("unpacked");
    for name in names_in(fetched.path())? {
        let file = fetched.path().join(name);
        let output = missing::output(Command::new("dpkg-deb").arg("-x").arg(&file).arg(&unpacked), "dpkg")?;
        if !output.status.success() {
            bail!("dpkg-deb -x {} failed: {}", file.display(), missing::complaint(&output));
        }
    }
    // Another run may have been quicker: its kernel is as good.
    let place = cache.join(&package);
    if let Err(error) = std::fs::rename(&unpacked, &place)
        && !place.is_dir()
    {
        return Err(error).with_context(|| format!("move the unpacked kernel to {}", place.display()));
    }
    Ok(package)
}

/// The newest of the packages `names` that hold a whole, plain kernel of `series`.
fn newest(series: &Series, names: &[String]) -> Option<String> {
    let start = format!("{PREFIX}{series}.");
    let plain = names.iter().filter(|name| {
        let version = name.strip_prefix(&start).and_then(|rest| rest.strip_suffix(SUFFIX));
        // No flavour such as cloud or rt, no debugging symbols.
        version.is_some_and(|version| version.split(['.', '+', '-', '~']).all(is_number_or_release))
    });
    plain.max_by_key(|name| numbers(name)).cloned()
}

fn is_number_or_release(word: &str) -> bool {
    let number = ["deb", "bpo"].iter().find_map(|release| word.strip_prefix(release)).unwrap_or(word);
    number.bytes().all(|byte| byte.is_ascii_digit())
}

fn numbers(name: &str) -> Vec<u64> {
    name.split(|letter: char| !letter.is_ascii_digit()).filter_map(|number| number.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn newest_of(series: &str, names: &[&str]) -> Option<String> {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        newest(&series.parse().unwrap(), &names)
    }

    #[test]
    fn the_newest_plain_kernel() {
        let names = [
            "linux-image-6.1.0-9-amd64",
            "linux-image-6.1.0-56-amd64",
            "linux-image-6.1.0-57-cloud-amd64",
            "linux-image-6.1.0-57-rt-amd64",
            "linux-image-6.1.0-57-amd64-dbg",
            "linux-image-6.1.0-57-amd64-unsigned",
            "linux-image-6.12-amd64",
            "linux-image-6.12.9+deb12-amd64",
            "linux-image-6.12.117+deb12-amd64",
            "linux-image-6.12.117+deb12-cloud-amd64",
            ".tmpUnfinished",
        ];
        assert_eq!(newest_of("6.1", &names).as_deref(), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(newest_of("6.12", &names).as_deref(), Some("linux-image-6.12.117+deb12-amd64"));
        assert_eq!(newest_of("6.5", &names), None);
    }

    #[test]
    fn the_kernel_that_runs_here() {
        let top = tempfile::tempdir().unwrap();
        let refusal = running("6.18.44-x", top.path()).unwrap_err();
        assert!(refusal.is::<Missing>(), "{refusal}");
        assert!(
            refusal.to_string().contains("boot/vmlinuz-6.18.44-x")
                && refusal.to_string().contains("--kernel")
        );
        let modules = top.path().join("lib/modules/6.18.44-x");
        let images = [modules.join("vmlinuz"), top.path().join("boot/vmlinuz-6.18.44-x")];
        for image in images {
            std::fs::create_dir_all(image.parent().unwrap()).unwrap();
            std::fs::write(&image, "").unwrap();
            let kernel = Kernel { image, modules: modules.clone() };
            assert_eq!(running("6.18.44-x", top.path()).unwrap(), kernel);
        }
        assert_eq!("HOST".parse(), Ok(Wanted::Host));
        assert!("host".parse::<Wanted>().unwrap_err().contains("HOST"));
    }

    #[test]
    fn series_of_kernels() {
        assert_eq!("6.12".parse::<Series>().unwrap().to_string(), "6.12");
        for text in ["", "6", "6.", ".12", "6.12.1", "six.one", "-6.1"] {
            assert!(text.parse::<Series>().is_err(), "{text:?}");
        }
    }
}
