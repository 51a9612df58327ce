//! `licences`: everything that is built into the product, or run to build it, may be passed on with it.

use super::verdict::Verdict;
use crate::project::{self, Package};
use spdx::{Expression, LicenseReq, ParseMode};
use std::path::Path;

/// Licences that ask for no more than a notice.
const ALLOWED: [&str; 11] = [
    "0BSD",
    "Apache-2.0",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "BSL-1.0",
    "CC0-1.0",
    "ISC",
    "MIT",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

const REMEDY: &str = "use another crate; or, where the licence asks for no more than a notice, add it to ALLOWED in \
                      xtask/src/check/licences.rs and say so in the commit";

/// Compares the licence of each dependency with those allowed.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let packages = project::read(root)?.packages;
    let shipped = packages.iter().filter(|package| package.shipped).count();
    let looked_at = format!("{shipped} packages have a licence from the list");
    Ok(Verdict::of(problems(&packages), looked_at, REMEDY))
}

fn problems(packages: &[Package]) -> Vec<String> {
    packages
        .iter()
        .filter(|package| package.shipped)
        .filter_map(|package| {
            let refusal = refusal(package.licence.as_deref())?;
            Some(format!("{} {}: {refusal}", package.name, package.version))
        })
        .collect()
}

/// Why a package under `licence` may not be passed on with the product; no reason if it may.
fn refusal(licence: Option<&str>) -> Option<String> {
    let Some(licence) = licence else {
        return Some("states no licence expression".to_owned());
    };
    match Expression::parse_mode(licence, ParseMode::LAX) {
        Err(error) => Some(format!("{licence:?} is not a licence expression: {}", error.reason)),
        Ok(expression) if expression.evaluate(is_allowed) => None,
        Ok(_) => Some(format!("{licence:?} cannot be met by the licences allowed")),
    }
}

fn is_allowed(wanted: &LicenseReq) -> bool {
    wanted.addition.is_none() && wanted.license.id().is_some_and(|id| ALLOWED.contains(&id.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions() {
        for (licence, allowed) in [
            ("MIT", true),
            ("MIT OR Apache-2.0", true),
            ("MIT/Apache-2.0", true),
            ("Unlicense/MIT", true),
            ("GPL-3.0-only OR MIT", true),
            ("(MIT OR Apache-2.0) AND Unicode-3.0", true),
            ("Apache-2.0 WITH LLVM-exception OR Apache-2.0 OR MIT", true),
            ("0BSD OR MIT OR Apache-2.0", true),
            ("GPL-2.0-only", false),
            ("GPL-2.0", false),
            ("MIT AND GPL-3.0-only", false),
            ("MIT AND (LGPL-2.1-only OR MPL-2.0)", false),
            ("Apache-2.0 WITH LLVM-exception", false),
            ("LicenseRef-ours", false),
            ("do as you like", false),
            ("", false),
        ] {
            assert_eq!(refusal(Some(licence)).is_none(), allowed, "{licence}");
        }
        assert!(refusal(None).is_some());
    }

    #[test]
    fn only_what_is_built_into_the_product_counts() {
        let package = |name: &str, licence: Option<&str>, shipped| Package {
            name: name.into(),
            version: "1.2.3".into(),
            licence: licence.map(Into::into),
            member: false,
            shipped,
            needs: vec![],
        };
        let packages = [
            package("good", Some("MIT"), true),
            package("secret", None, true),
            package("viral", Some("GPL-3.0-only"), true),
            package("for-tests", Some("GPL-3.0-only"), false),
        ];
        assert_eq!(
            problems(&packages),
            [
                "secret 1.2.3: states no licence expression",
                "viral 1.2.3: \"GPL-3.0-only\" cannot be met by the licences allowed",
            ]
        );
    }
}
