//! `cargo xtask sbom`: the list of materials of the products, in the form of CycloneDX 1.5.

use super::crates::{self, Crate};
use serde_json::{Value, json};
use std::path::Path;

/// Prints it.
pub(crate) fn print(root: &Path) -> anyhow::Result<()> {
    println!("{:#}", written(&crates::of_products(root)?));
    Ok(())
}

/// The name of a crate in lists of materials.
fn purl(name: &str, version: &str) -> String {
    format!("pkg:cargo/{name}@{version}")
}

fn written(crates: &[Crate]) -> Value {
    let version = crates.iter().find(|one| one.name == "etmemd").map(|one| one.version.as_str());
    let component = |one: &Crate| {
        let purl = purl(&one.name, &one.version);
        let mut row = json!({
            "type": "library", "bom-ref": purl, "name": one.name, "version": one.version, "purl": purl,
        });
        if let Some(licence) = &one.licence {
            // Older manifests have a slash for OR.
            row["licenses"] = json!([{ "expression": licence.replace('/', " OR ") }]);
        }
        row
    };
    let uses = |one: &Crate| {
        let on: Vec<String> = one.uses.iter().map(|(name, version)| purl(name, version)).collect();
        json!({ "ref": purl(&one.name, &one.version), "dependsOn": on })
    };
    json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": { "component": { "type": "application", "bom-ref": "etmem", "name": "etmem", "version": version } },
        "components": crates.iter().map(component).collect::<Vec<_>>(),
        "dependencies": crates.iter().map(uses).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::project;
    use std::collections::BTreeSet;

    #[test]
    fn each_reference_is_of_a_component() {
        let bill = written(&crates::of_products(&project::root()).unwrap());
        let rows = |key: &str| bill[key].as_array().unwrap().clone();
        let references: BTreeSet<String> =
            rows("components").iter().map(|row| row["bom-ref"].as_str().unwrap().to_owned()).collect();
        assert_eq!(references.len(), rows("components").len(), "a reference is used twice");
        for row in rows("dependencies") {
            for on in row["dependsOn"].as_array().unwrap() {
                assert!(references.contains(on.as_str().unwrap()), "{on} is no component");
            }
        }
        assert!(bill["metadata"]["component"]["version"].is_string());
    }
}
