//! Plugins, built and installed as their READMEs say: with the scan library below a prefix of its own, and found by
//! pkg-config.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context, Result};
use etmem_testkit::built::{self, top};
use etmem_testkit::process::{self, Ran};
use etmem_testkit::stage::Stage;

use crate::library;

const LIMIT: Duration = Duration::from_secs(120);

/// A plugin of these tests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Plugin {
    /// `examples/plugin-c`.
    C,
    /// `examples/plugin-rust`.
    Rust,
    /// Pages out what is cold in large mappings alone.
    LargeMappings,
    /// Aborts when it is asked to.
    Aborts,
    /// Aborts as soon as it is loaded.
    AbortsWhenLoaded,
    /// No shared object.
    Nonsense,
}

impl Plugin {
    /// The configuration file that comes with it.
    pub(crate) fn sample(self) -> Result<String> {
        let folder = if self == Self::Rust { "plugin-rust" } else { "plugin-c" };
        let path = top().join("examples").join(folder).join("cold_pages.conf");
        fs::read_to_string(&path).with_context(|| path.display().to_string())
    }
}

/// What plugins are built with, in a folder that goes with the daemon.
#[derive(Debug)]
pub(crate) struct Tools {
    folder: PathBuf,
}

fn success(command: &mut Command) -> Result<Ran> {
    process::success(command, LIMIT)
}

impl Tools {
    /// Builds the scan library, beside the daemon as `make build` does, and installs it with its headers.
    pub(crate) fn build(stage: &Stage) -> Result<Self> {
        let beside = stage.binaries.etmemd.parent().context("the daemon has no folder")?;
        let library = beside.join("libetmemd_scan.so");
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let one_at_a_time = ONE_AT_A_TIME.lock();
        // Replaced at once: a process that has loaded it keeps what it has.
        let fresh = beside.join(format!("libetmemd_scan.so.{}", std::process::id()));
        fs::copy(library::library()?.join("libetmemd_scan.so"), &fresh)?;
        fs::rename(fresh, &library)?;
        drop(one_at_a_time);
        let folder = stage.daemon.folder().to_owned();
        let mut make = Command::new("make");
        make.current_dir(top())
            .arg("install-scan-library")
            .arg(format!("SCAN_LIBRARY={}", library.display()));
        success(make.arg(format!("PREFIX={}", folder.join("usr").display())))?;
        Ok(Self { folder })
    }

    /// Builds `plugin` and installs it: where.
    pub(crate) fn install(&self, plugin: Plugin) -> Result<PathBuf> {
        match plugin {
            Plugin::C => self.make(),
            Plugin::Rust => self.put(&built::library("libcold_pages.so")?, "libcold_pages.so"),
            Plugin::LargeMappings => self.compile("large_mappings", &[]),
            Plugin::Aborts => self.compile("aborts", &[]),
            Plugin::AbortsWhenLoaded => self.compile("aborts", &["-DWHEN_LOADED"]),
            Plugin::Nonsense => self.put(&top().join("README.md"), "nonsense.so"),
        }
    }

    fn pkg_config_path(&self) -> PathBuf {
        self.folder.join("usr/lib/pkgconfig")
    }

    fn find_library(&self) -> String {
        format!("-Wl,-rpath,{}", self.folder.join("usr/lib").display())
    }

    /// By its Makefile, in a copy of its folder.
    fn make(&self) -> Result<PathBuf> {
        let copy = self.folder.join("plugin-c");
        fs::create_dir_all(&copy)?;
        for file in ["cold_pages.c", "Makefile"] {
            fs::copy(top().join("examples/plugin-c").join(file), copy.join(file))?;
        }
        let mut make = Command::new("make");
        make.current_dir(&copy).arg("CFLAGS=-O2 -g -Wall -Wextra -Wpedantic -Werror");
        make.arg(format!("LDFLAGS={}", self.find_library())).arg("install");
        make.arg(format!("PKG_CONFIG_PATH={}", self.pkg_config_path().display()));
        success(make.arg(format!("PLUGINDIR={}", self.folder.join("etmem").display())))?;
        Ok(self.folder.join("etmem/cold_pages.so"))
    }

    /// A source of these tests, with what pkg-config says.
    fn compile(&self, name: &str, options: &[&str]) -> Result<PathBuf> {
        let mut package = Command::new("pkg-config");
        package.env("PKG_CONFIG_PATH", self.pkg_config_path());
        let flags = success(package.args(["--cflags", "--libs", "etmemd_scan"]))?.stdout;
        let built = self.folder.join(format!("{name}.so"));
        let mut gcc = Command::new("gcc");
        gcc.args(["-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared"]).args(options);
        gcc.arg(top().join(format!("tests/plugin_examples/{name}.c"))).arg("-o").arg(&built);
        success(gcc.args(flags.split_whitespace()).arg(self.find_library()).arg("-pthread"))?;
        let installed = format!("{name}{}.so", options.concat());
        self.put(&built, &installed)
    }

    /// Where the daemon may load it from.
    fn put(&self, file: &Path, name: &str) -> Result<PathBuf> {
        let folder = self.folder.join("etmem");
        fs::create_dir_all(&folder)?;
        let installed = folder.join(name);
        // A file that is loaded is not written to.
        let _ = fs::remove_file(&installed);
        fs::copy(file, &installed)?;
        fs::set_permissions(&installed, fs::Permissions::from_mode(0o500))?;
        Ok(installed)
    }
}
