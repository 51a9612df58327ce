//! Where the project lies, and what cargo tells of its packages, reduced to what the checks ask.

use anyhow::Context;
use cargo_metadata::{CargoOpt, DependencyKind, MetadataCommand, NodeDep, PackageId, Resolve};
use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Dependencies of other systems are never built, so they are not asked for either.
const PLATFORMS: [&str; 2] = ["x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu"];

/// The project's top folder.
pub(crate) fn root() -> PathBuf {
    let xtask = Path::new(env!("CARGO_MANIFEST_DIR"));
    xtask.parent().unwrap_or(xtask).to_path_buf()
}

/// The cargo that runs this program.
pub(crate) fn cargo() -> OsString {
    std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into())
}

/// A package of the workspace, or one that the workspace needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Package {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence expression, where it states one.
    pub(crate) licence: Option<String>,
    /// A member of the workspace, not one from a registry.
    pub(crate) member: bool,
    /// Built into a product or run while one is built: reached without any dev-dependency.
    pub(crate) shipped: bool,
    /// What its manifest asks for, dev-dependencies left out.
    pub(crate) needs: Vec<String>,
}

/// All packages of the workspace and all that they need, and where cargo builds.
#[derive(Debug)]
pub(crate) struct Project {
    /// The packages.
    pub(crate) packages: Vec<Package>,
    /// Where cargo puts what it builds.
    pub(crate) target: PathBuf,
}

/// Asks cargo about the workspace at `root`.
pub(crate) fn read(root: &Path) -> anyhow::Result<Project> {
    let mut command = MetadataCommand::new();
    command.cargo_path(PathBuf::from(cargo())).current_dir(root).features(CargoOpt::AllFeatures);
    command.other_options(PLATFORMS.map(|platform| format!("--filter-platform={platform}")));
    let metadata = command.exec().context("cargo metadata")?;

    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let edges = built_edges(resolve);
    let shipped = reached(&metadata.workspace_members.iter().collect::<Vec<_>>(), &edges);

    let packages = metadata
        .packages
        .iter()
        .map(|package| Package {
            name: package.name.to_string(),
            version: package.version.to_string(),
            licence: package.license.clone(),
            member: metadata.workspace_members.contains(&package.id),
            shipped: shipped.contains(&package.id),
            needs: package
                .dependencies
                .iter()
                .filter(|dependency| dependency.kind != DependencyKind::Development)
                .map(|dependency| dependency.name.clone())
                .collect(),
        })
        .collect();
    Ok(Project { packages, target: metadata.target_directory.into() })
}

/// What each package needs to be built and run, dev-dependencies left out.
pub(crate) fn built_edges(resolve: &Resolve) -> HashMap<&PackageId, Vec<&PackageId>> {
    let is_built = |dep: &&NodeDep| dep.dep_kinds.iter().any(|kind| kind.kind != DependencyKind::Development);
    let needs = resolve.nodes.iter().map(|node| {
        let built = node.deps.iter().filter(is_built);
        (&node.id, built.map(|dep| &dep.pkg).collect())
    });
    needs.collect()
}

/// `starts` and everything that `edges` lead to from there.
pub(crate) fn reached<'a, T: Eq + std::hash::Hash>(
    starts: &[&'a T],
    edges: &HashMap<&'a T, Vec<&'a T>>,
) -> HashSet<&'a T> {
    let mut seen = HashSet::new();
    let mut open = starts.to_vec();
    while let Some(at) = open.pop() {
        if seen.insert(at) {
            open.extend(edges.get(at).into_iter().flatten());
        }
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_tests_use_is_not_reached() {
        let edges =
            HashMap::from([(&"daemon", vec![&"core"]), (&"core", vec![&"errors"]), (&"fake", vec![&"core"])]);
        assert_eq!(reached(&[&"daemon"], &edges), HashSet::from([&"daemon", &"core", &"errors"]));
    }

    #[test]
    fn circles_end() {
        let edges = HashMap::from([(&1, vec![&2]), (&2, vec![&1])]);
        assert_eq!(reached(&[&1], &edges), HashSet::from([&1, &2]));
    }

    #[test]
    fn this_very_workspace_can_be_read() {
        let project = read(&root()).unwrap();
        let xtask = project.packages.iter().find(|package| package.name == "xtask").unwrap();
        assert!(xtask.member && xtask.shipped);
        assert!(xtask.needs.iter().any(|need| need == "clap"));
        assert!(project.packages.iter().any(|package| package.name == "proptest" && !package.shipped));
    }
}
