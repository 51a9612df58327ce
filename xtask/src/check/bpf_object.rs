//! `bpf`: the committed BPF object is what its source gives.
//!
//! The recorded checksums always hold, clang or not: a change of the source needs a new object. Where
//! the clang here is the one that made the object, both are compared byte for byte as well.

use super::verdict::Verdict;
use crate::bpf::{self, OBJECT, SUMS};
use anyhow::Context;
use std::path::Path;
use std::process::Command;

const REMEDY: &str = "run cargo xtask bpf and commit what it makes";

/// Compares the committed object with its source.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let folder = bpf::folder(root);
    let read = |name: &str| {
        std::fs::read(folder.join(name)).with_context(|| format!("read {name} in {}", folder.display()))
    };
    let failed = |problem: String| Ok(Verdict::Failed { problems: vec![problem], remedy: REMEDY.to_owned() });

    let sums = match read(SUMS) {
        Ok(sums) => String::from_utf8_lossy(&sums).into_owned(),
        Err(error) => return failed(format!("{error:#}")),
    };
    let sums_hold =
        bpf::run(Command::new("sha256sum").current_dir(&folder).args(["--check", "--quiet", SUMS]));
    if let Err(error) = sums_hold {
        return failed(format!("{error:#}"));
    }
    let Some(here) = bpf::installed_clang()? else {
        return Ok(Verdict::Skipped(
            "clang is not installed; run make setup (compared: the recorded checksums, which hold)"
                .to_owned(),
        ));
    };
    let Some(recorded) = bpf::recorded_clang(&sums) else {
        return failed(format!("{SUMS} does not say which clang made {OBJECT}"));
    };
    if here != recorded {
        return Ok(Verdict::Passed(format!(
            "compared: the recorded checksums only, for clang {recorded} made {OBJECT} and this is clang {here}"
        )));
    }

    let scratch = tempfile::tempdir().context("make a temporary folder")?;
    let fresh = scratch.path().join(OBJECT);
    bpf::compile(&folder, &fresh)?;
    if std::fs::read(&fresh).context("read what clang made")? != read(OBJECT)? {
        return failed(format!("{OBJECT} is not what clang {here} makes of its source"));
    }
    Ok(Verdict::Passed(format!(
        "compared: {OBJECT} byte for byte with what clang {here} makes of its source"
    )))
}
