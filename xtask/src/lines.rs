//! `lines`: how many lines of product code each crate has.
//!
//! Counted are lines that are not empty, comments included, of `crates/*/src` without `etmem-testkit`, without
//! items that are `#[cfg(test)]` and without files of tests.

use crate::source::Source;
use std::collections::BTreeMap;
use std::path::Path;

const NOT_PRODUCT: &str = "etmem-testkit";

/// Prints the lines of each crate of the tree at `root`, and their sum.
pub(crate) fn print(root: &Path) -> anyhow::Result<()> {
    let sources = Source::read_all(root, &["crates"])?;
    let crates = count(&sources);
    for (name, lines) in &crates {
        println!("{lines:>7}  {name}");
    }
    println!("{:>7}  in all", crates.values().sum::<usize>());
    Ok(())
}

fn count(sources: &[Source]) -> BTreeMap<&str, usize> {
    let mut crates = BTreeMap::new();
    for source in sources {
        let mut parts = source.file.split('/').skip(1);
        let (Some(name), Some("src")) = (parts.next(), parts.next()) else { continue };
        if name != NOT_PRODUCT {
            let lines = source.product().lines().filter(|line| !line.trim().is_empty()).count();
            *crates.entry(name).or_default() += lines;
        }
    }
    crates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_product_counts() {
        let files = [
            ("crates/a/src/lib.rs", "//! Head.\n\nfn a() {}\n#[cfg(test)]\nmod tests {\n    fn b() {}\n}\n"),
            ("crates/a/src/b.rs", "fn b() {}\n"),
            ("crates/a/src/b/tests.rs", "fn c() {}\n"),
            ("crates/a/tests/d.rs", "fn d() {}\n"),
            ("crates/etmem-testkit/src/lib.rs", "fn e() {}\n"),
        ];
        let sources = files.map(|(file, text)| Source::parse(file, text).unwrap());
        assert_eq!(count(&sources), BTreeMap::from([("a", 3)]));
    }
}
