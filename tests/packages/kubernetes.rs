//! The manifests in deploy/kubernetes, by the schemas of Kubernetes.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use etmem_testkit::built::top;
use etmem_testkit::process::run;

const LIMIT: Duration = Duration::from_secs(120);
/// As `scripts/setup` names it.
const FOLDER: &str = "etmem-kubernetes";
/// Its schema is kustomize's, which no release of Kubernetes has.
const OF_KUSTOMIZE: &str = "kustomization.yaml";

/// What compares, where `make setup` puts it.
fn validator() -> Option<PathBuf> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from).or_else(home)?;
    Some(cache.join(FOLDER).join("bin/kubernetes-validate")).filter(|path| path.is_file())
}

/// What must be installed first.
pub(crate) fn lacks() -> Option<String> {
    validator()
        .is_none()
        .then(|| "there is no kubernetes-validate; make setup fetches it from PyPI".to_owned())
}

fn fits(manifest: &Path) -> Result<bool> {
    let ran = run(Command::new(validator().context("no validator")?).arg("--strict").arg(manifest), LIMIT)?;
    println!("{}{}", ran.stdout, ran.stderr);
    Ok(ran.status == 0 && format!("{}{}", ran.stdout, ran.stderr).contains(" passed "))
}

/// Each manifest fits, and none does with a field that its kind does not have.
pub(crate) fn schemas() -> Result<()> {
    let folder = top().join("deploy/kubernetes");
    let mut seen = 0;
    for entry in fs::read_dir(&folder)? {
        let path = entry?.path();
        if path.file_name().is_some_and(|name| name == OF_KUSTOMIZE) {
            continue;
        }
        ensure!(fits(&path)?, "{} does not fit", path.display());
        seen += 1;
    }
    ensure!(seen >= 3, "only {seen} manifests in {}", folder.display());
    let daemon_set = fs::read_to_string(folder.join("daemonset.yaml"))?;
    let scratch = tempfile::tempdir()?;
    let wrong = scratch.path().join("wrong.yaml");
    for (right, other) in [("hostPID: true", "hostPid: true"), ("periodSeconds: 30", "periodSeconds: often")]
    {
        let text = daemon_set.replacen(right, other, 1);
        ensure!(text != daemon_set, "there is no {right}");
        fs::write(&wrong, text)?;
        ensure!(!fits(&wrong)?, "{other} fits");
    }
    Ok(())
}

/// What kustomize reads is there, and it is all that there is.
pub(crate) fn kustomization() -> Result<()> {
    let folder = top().join("deploy/kubernetes");
    let text = fs::read_to_string(folder.join(OF_KUSTOMIZE))?;
    let mut named: Vec<&str> = text
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- "))
        .filter(|name| name.ends_with(".yaml"))
        .collect();
    named.sort_unstable();
    let mut there: Vec<String> = fs::read_dir(&folder)?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name != OF_KUSTOMIZE)
        .collect();
    there.sort();
    ensure!(named == there, "{named:?} is not {there:?}");
    let tag = format!("newTag: {}", env!("CARGO_PKG_VERSION"));
    ensure!(text.contains(&tag), "{OF_KUSTOMIZE} has no {tag}");
    Ok(())
}
