//! The crates that are built into the products, or run while they are built.

use crate::project;
use anyhow::Context;
use cargo_metadata::{MetadataCommand, PackageId};
use std::path::{Path, PathBuf};

/// The packages whose programs and library are shipped.
const PRODUCTS: [&str; 3] = ["etmem", "etmemd", "etmemd-scan"];

/// A crate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Crate {
    /// Its name.
    pub(crate) name: String,
    /// Its version.
    pub(crate) version: String,
    /// Its licence expression.
    pub(crate) licence: Option<String>,
    /// Where it is unpacked.
    pub(crate) folder: PathBuf,
    /// Of this workspace, not of a registry.
    pub(crate) is_ours: bool,
    /// What it uses, as name and version.
    pub(crate) uses: Vec<(String, String)>,
}

/// The crates of the products of the workspace at `root` on the machine that runs here, by name and version.
pub(crate) fn of_products(root: &Path) -> anyhow::Result<Vec<Crate>> {
    let mut command = MetadataCommand::new();
    command.cargo_path(PathBuf::from(project::cargo())).current_dir(root);
    command.other_options([
        "--locked".to_owned(),
        format!("--filter-platform={}-unknown-linux-gnu", std::env::consts::ARCH),
    ]);
    let metadata = command.exec().context("cargo metadata")?;
    let resolve = metadata.resolve.as_ref().context("cargo metadata resolved nothing")?;
    let edges = project::built_edges(resolve);
    let is_product = |id: &&PackageId| {
        metadata.workspace_members.contains(id) && PRODUCTS.contains(&metadata[*id].name.as_str())
    };
    let products: Vec<&PackageId> = resolve.nodes.iter().map(|node| &node.id).filter(is_product).collect();
    anyhow::ensure!(products.len() == PRODUCTS.len(), "the workspace lacks one of {PRODUCTS:?}");
    let mut crates: Vec<Crate> = project::reached(&products, &edges)
        .into_iter()
        .map(|id| {
            let package = &metadata[id];
            let named = |id: &&PackageId| (metadata[*id].name.to_string(), metadata[*id].version.to_string());
            let mut uses: Vec<_> = edges.get(id).into_iter().flatten().map(named).collect();
            uses.sort();
            Crate {
                name: package.name.to_string(),
                version: package.version.to_string(),
                licence: package.license.clone(),
                folder: package.manifest_path.parent().map(Into::into).unwrap_or_default(),
                is_ours: metadata.workspace_members.contains(id),
                uses,
            }
        })
        .collect();
    crates.sort_by(|one, other| (&one.name, &one.version).cmp(&(&other.name, &other.version)));
    Ok(crates)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_daemon_is_a_product_and_its_tests_are_not() {
        let crates = of_products(&project::root()).unwrap();
        let of = |name: &str| crates.iter().find(|one| one.name == name);
        assert!(of("etmemd").unwrap().is_ours && !of("aya").unwrap().is_ours);
        assert!(of("etmemd").unwrap().uses.iter().any(|(name, _)| name == "etmem-core"));
        assert_eq!((of("proptest"), of("etmem-testkit")), (None, None));
    }
}
