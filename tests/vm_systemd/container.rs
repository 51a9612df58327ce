//! The image of deploy/kubernetes as a container of this machine: a root of its own with the package, the capabilities of the
//! DaemonSet and no others, the configuration of the ConfigMap, and a process outside of it that is grouped as a pod's.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::inside::{Inside, MEMORY, in_swap, processes_of};
use crate::packages::{self, VERSIONS};

const ROOT: &str = "/image";
const UNIT: &str = "container.service";
/// As the kubelet names it, with the systemd driver.
const POD: &str = "kubepods-burstable-pod4711.slice";
const PROCESS: &str = "cri-containerd-4711.service";
const DAEMON_SET: &str = include_str!("../../deploy/kubernetes/daemonset.yaml");
const CONFIGURATION: &str = include_str!("../../deploy/kubernetes/configuration.yaml");

pub(crate) fn pages_out(inside: &Inside) -> Result<()> {
    image(inside)?;
    let file = format!("{ROOT}/etc/etmem/conf.d/burstable.conf");
    inside.configure(&file, &configuration()?)?;
    let hotset = inside.binaries.hotcold.with_file_name("hotset");
    let script = format!("sleep 1d | exec {} --memory {MEMORY} --hot 0", hotset.display());
    let slice = format!("--slice={POD}");
    let unit = |name: &str| format!("--unit={name}");
    inside.must("systemd-run", &["--quiet", &slice, &unit(PROCESS), "sh", "-c", &script])?;

    let capabilities = format!("CapabilityBoundingSet={}", capabilities()?.join(" "));
    let properties = [
        &format!("RootDirectory={ROOT}"),
        "MountAPIVFS=yes",
        // It has a network of its own, no host's devices, and /sys to read.
        "PrivateNetwork=yes",
        "PrivateDevices=yes",
        "ProtectKernelTunables=yes",
        "ProtectControlGroups=yes",
        "ReadOnlyPaths=/",
        "ReadWritePaths=/run/etmem",
        "NoNewPrivileges=yes",
        &capabilities,
        "Environment=ETMEMD_LOG=stderr",
    ];
    let mut words = vec!["--quiet".to_owned(), unit(UNIT)];
    words.extend(properties.iter().map(|property| format!("--property={property}")));
    // A container has a cgroup namespace of its own.
    words.extend(["/usr/bin/unshare", "--cgroup"].map(str::to_owned));
    words.extend(command()?);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    inside.must("systemd-run", &words)?;

    inside.wait(UNIT, "half of the process is in swap", || {
        let pid = processes_of("hotset")?.first().copied().context("no process")?;
        Ok(in_swap(pid)? > MEMORY / 2)
    })?;
    let pid = inside.main_pid(UNIT)?;
    ensure!(
        identity(&format!("/proc/{pid}/root/"))? == identity(ROOT)? && identity(ROOT)? != identity("/")?,
        "its root is not the image's"
    );
    inside.systemctl(&["stop", UNIT, PROCESS])?;
    Ok(())
}

/// Which folder that is: a mount namespace of its own has other paths.
fn identity(folder: &str) -> Result<(u64, u64)> {
    let metadata = fs::metadata(folder).with_context(|| folder.to_owned())?;
    Ok((metadata.dev(), metadata.ino()))
}

/// A Debian with the package, as the Containerfile makes it: that of this machine, file by file, without what is of it alone.
fn image(inside: &Inside) -> Result<()> {
    for folder in ["proc", "sys", "dev", "run/etmem", "tmp", "root"] {
        fs::create_dir_all(Path::new(ROOT).join(folder))?;
    }
    for folder in ["bin", "sbin", "lib", "lib64", "usr", "etc", "var"] {
        // Links: a package replaces files, and writes none.
        inside.must("cp", &["-a", "--link", &format!("/{folder}"), ROOT])?;
    }
    let root = format!("--root={ROOT}");
    let _ = inside.run("dpkg", &[&root, "--purge", "etmem"])?;
    for package in ["libetmemd-scan", "etmem"] {
        let file = packages::file(&packages::packages(), package, VERSIONS[0])?;
        inside.must("dpkg", &[&root, "--install", file.to_str().context("no UTF-8")?])?;
    }
    Ok(())
}

/// The capabilities that the DaemonSet adds.
fn capabilities() -> Result<Vec<String>> {
    let line = DAEMON_SET.lines().find_map(|line| line.trim().strip_prefix("add: "));
    Ok(words(line.context("no capabilities")?)?.iter().map(|name| format!("CAP_{name}")).collect())
}

/// What the DaemonSet's container runs.
fn command() -> Result<Vec<String>> {
    let mut lines = DAEMON_SET.lines().filter_map(|line| line.trim().strip_prefix("command: "));
    words(lines.find(|line| line.contains("/usr/sbin/etmemd")).context("no command")?)
}

/// The words of a list of strings, which is JSON.
fn words(list: &str) -> Result<Vec<String>> {
    serde_json::from_str(list).with_context(|| list.to_owned())
}

/// The file of the ConfigMap, with less patience: what is cold leaves at once.
fn configuration() -> Result<String> {
    let (_, text) = CONFIGURATION.split_once("burstable.conf: |\n").context("no burstable.conf")?;
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_start())).collect();
    let quick = text.replacen("sleep=10\n", "sleep=1\n", 1) + "age=none\nmax_rate=none\nmax_refault=none\n";
    ensure!(quick.contains("sleep=1\n"), "{quick}");
    Ok(quick)
}
