//! `circles`: the files of a crate do not use each other in a circle, but for those that ARCHITECTURE.md lists.
//!
//! A file uses another when a path that begins with `crate` or `super` leads there. A module that names its own children
//! does not count, and neither do tests.

use super::table;
use super::verdict::Verdict;
use crate::project::reached;
use crate::source::Source;
use anyhow::ensure;
use proc_macro2::{Delimiter, TokenStream, TokenTree};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

const DOCUMENT: &str = "ARCHITECTURE.md";
const HEADINGS: [&str; 2] = ["circle", "why it stays"];

/// How many circles may be listed.
const MOST: usize = 3;

const REMEDY: &str = "move what both use into a file of its own; a circle that has to stay is listed with its reason in \
                      ARCHITECTURE.md, Circles";

/// Files that use each other.
type Circle = BTreeSet<String>;

/// A module's path within its crate: nothing for the crate itself.
type Module = Vec<String>;

/// Compares the circles of the source with those listed.
pub(crate) fn check(root: &Path) -> anyhow::Result<Verdict> {
    let listed = listed(&table::read(root, DOCUMENT, &HEADINGS)?)?;
    let sources = Source::read_all(root, &["crates"])?;
    let found = circles(&sources);
    let looked_at =
        format!("{} files; circles of files: {}, all listed with a reason", sources.len(), found.len());
    Ok(Verdict::of(problems(&found, &listed), looked_at, REMEDY))
}

fn listed(rows: &[table::Row]) -> anyhow::Result<Vec<Circle>> {
    let mut listed = Vec::new();
    for row in rows.iter().filter(|row| row.cells[0] != "none") {
        ensure!(!row.cells[1].is_empty(), "line {}: a circle without a reason", row.line);
        listed.push(table::names(row, 0)?.into_iter().collect());
    }
    ensure!(listed.len() <= MOST, "{} circles are listed; at most {MOST} may be", listed.len());
    Ok(listed)
}

fn problems(found: &[Circle], listed: &[Circle]) -> Vec<String> {
    let describe = |circle: &Circle| circle.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    let stray = found.iter().filter(|circle| !listed.contains(circle));
    let gone = listed.iter().filter(|circle| !found.contains(circle));
    stray
        .map(|circle| format!("not listed: {}", describe(circle)))
        .chain(gone.map(|circle| format!("listed, and no circle any more: {}", describe(circle))))
        .collect()
}

fn circles(sources: &[Source]) -> Vec<Circle> {
    let mut crates: BTreeMap<&str, BTreeMap<Module, &Source>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test) {
        if let Some((name, module)) = place(&source.file) {
            crates.entry(name).or_default().insert(module, source);
        }
    }
    crates.values().flat_map(circles_of_crate).collect()
}

/// The crate that a file belongs to, and the path of its module.
fn place(file: &str) -> Option<(&str, Module)> {
    let (name, path) = file.strip_prefix("crates/")?.split_once("/src/")?;
    let mut module: Module = path.strip_suffix(".rs")?.split('/').map(str::to_owned).collect();
    if matches!(path, "lib.rs" | "main.rs") || path.ends_with("/mod.rs") {
        module.pop();
    }
    Some((name, module))
}

fn circles_of_crate(modules: &BTreeMap<Module, &Source>) -> Vec<Circle> {
    let mut edges: HashMap<&Module, Vec<&Module>> = HashMap::new();
    for (module, source) in modules {
        let mut paths = Vec::new();
        paths_of(source.stream.clone(), module, &mut paths);
        let used = paths.iter().filter_map(|path| file_of(path, modules)).filter(|used| *used != module);
        edges.insert(module, used.collect());
    }
    let reach: BTreeMap<&Module, _> =
        modules.keys().map(|module| (module, reached(&[module], &edges))).collect();
    let mut circles = BTreeSet::new();
    for (module, reaches) in &reach {
        let circle: Circle = reaches
            .iter()
            .filter(|other| reach[*other].contains(module))
            .map(|other| modules[*other].file.clone())
            .collect();
        if circle.len() > 1 {
            circles.insert(circle);
        }
    }
    circles.into_iter().collect()
}

/// The module, of those that are files, in which a path ends.
fn file_of<'a>(path: &[String], modules: &'a BTreeMap<Module, &Source>) -> Option<&'a Module> {
    (0..=path.len()).rev().find_map(|length| modules.get_key_value(&path[..length])).map(|(module, _)| module)
}

/// All paths of `stream` that begin with `crate` or `super`, from the crate's root on; those of tests are left out.
fn paths_of(stream: TokenStream, module: &[String], out: &mut Vec<Module>) {
    let tokens: Vec<TokenTree> = stream.into_iter().collect();
    let mut item_is_test = false;
    for (index, token) in tokens.iter().enumerate() {
        match token {
            TokenTree::Ident(_) if !item_is_test => {
                if let Some((base, rest)) = base(&tokens[index..], module) {
                    follow(base, rest, out);
                }
            }
            TokenTree::Punct(punct) => item_is_test &= punct.as_char() != ';',
            TokenTree::Group(group) => {
                item_is_test |= group.stream().to_string().replace(' ', "") == "cfg(test)";
                if !item_is_test {
                    let inner = match &tokens[..index] {
                        [.., TokenTree::Ident(word), TokenTree::Ident(name)] if word == "mod" => {
                            [module, &[name.to_string()]].concat()
                        }
                        _ => module.to_vec(),
                    };
                    paths_of(group.stream(), &inner, out);
                }
                item_is_test &= group.delimiter() != Delimiter::Brace;
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => {}
        }
    }
}

/// Where a path begins, if `tokens` begin with `crate::` or `super::`, and the tokens after that.
fn base<'a>(tokens: &'a [TokenTree], module: &[String]) -> Option<(Module, &'a [TokenTree])> {
    let TokenTree::Ident(first) = tokens.first()? else { return None };
    let rest = after_colons(&tokens[1..])?;
    if first == "crate" {
        return Some((vec![], rest));
    }
    if first != "super" {
        return None;
    }
    let mut base = module.to_vec();
    base.pop();
    match base_above(rest, &base) {
        Some(further) => Some(further),
        None => Some((base, rest)),
    }
}

/// The same for a `super::` that follows another.
fn base_above<'a>(tokens: &'a [TokenTree], module: &[String]) -> Option<(Module, &'a [TokenTree])> {
    match tokens.first() {
        Some(TokenTree::Ident(word)) if word == "super" => base(tokens, module),
        _ => None,
    }
}

/// What follows `::`, if `tokens` begin with it.
fn after_colons(tokens: &[TokenTree]) -> Option<&[TokenTree]> {
    match tokens {
        [TokenTree::Punct(one), TokenTree::Punct(two), rest @ ..]
            if one.as_char() == ':' && two.as_char() == ':' =>
        {
            Some(rest)
        }
        _ => None,
    }
}

/// Adds the paths that go on from `path` with `tokens`: one, or those of a group in braces.
fn follow(mut path: Module, tokens: &[TokenTree], out: &mut Vec<Module>) {
    match tokens {
        [TokenTree::Ident(name), rest @ ..] => {
            path.push(name.to_string());
            match after_colons(rest) {
                Some(rest) => follow(path, rest, out),
                None => out.push(path),
            }
        }
        [TokenTree::Group(group), ..] if group.delimiter() == Delimiter::Brace => {
            let inner: Vec<TokenTree> = group.stream().into_iter().collect();
            let is_comma =
                |token: &TokenTree| matches!(token, TokenTree::Punct(punct) if punct.as_char() == ',');
            for part in inner.split(is_comma).filter(|part| !part.is_empty()) {
                follow(path.clone(), part, out);
            }
        }
        _ => out.push(path),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(files: &[(&str, &str)]) -> Vec<Vec<String>> {
        let sources: Vec<Source> = files
            .iter()
            .map(|(file, text)| Source::parse(&format!("crates/a/src/{file}"), text).unwrap())
            .collect();
        let short = |file: &String| file.trim_start_matches("crates/a/src/").to_owned();
        circles(&sources).iter().map(|circle| circle.iter().map(short).collect()).collect()
    }

    #[test]
    fn files_that_use_each_other_are_a_circle() {
        for (name, files, circle) in [
            ("one way", &[("a.rs", "use crate::b::B;"), ("b.rs", "")][..], &[][..]),
            ("both ways", &[("a.rs", "use crate::b::B;"), ("b.rs", "use super::a::A;")], &["a.rs", "b.rs"]),
            (
                "in a group",
                &[("a.rs", "use crate::{b::{B}, x};"), ("b.rs", "use crate::{a::A};")],
                &["a.rs", "b.rs"],
            ),
            (
                "in the code",
                &[("a.rs", "fn a() { crate::b::f() }"), ("b.rs", "use crate::a;")],
                &["a.rs", "b.rs"],
            ),
            (
                "over a third",
                &[("a.rs", "use crate::b;"), ("b.rs", "use crate::c;"), ("c.rs", "use crate::a;")],
                &["a.rs", "b.rs", "c.rs"],
            ),
            ("parent and child", &[("a/mod.rs", "mod b; use b::B;"), ("a/b.rs", "use super::A;")], &[]),
            (
                "two up",
                &[("a.rs", "use crate::b::c::C;"), ("b/c.rs", "use super::super::a::A;")],
                &["a.rs", "b/c.rs"],
            ),
            (
                "the test's",
                &[("a.rs", "use crate::b;"), ("b.rs", "#[cfg(test)]\nmod tests { use crate::a; }")],
                &[],
            ),
            ("inner module", &[("a.rs", "mod m { use super::A; }"), ("lib.rs", "use crate::a;")], &[]),
            ("the root", &[("a.rs", "use crate::A;"), ("lib.rs", "use crate::a::B;")], &["a.rs", "lib.rs"]),
        ] {
            let want: Vec<Vec<String>> = circle
                .first()
                .map(|_| circle.iter().map(|file| (*file).to_owned()).collect())
                .into_iter()
                .collect();
            assert_eq!(of(files), want, "{name}");
        }
    }

    #[test]
    fn only_listed_circles_pass_and_lists_are_current() {
        let circle = |files: &[&str]| files.iter().map(|file| (*file).to_owned()).collect::<Circle>();
        assert!(problems(&[circle(&["a", "b"])], &[circle(&["a", "b"])]).is_empty());
        assert_eq!(
            problems(&[circle(&["a", "b"])], &[circle(&["c", "d"])]),
            ["not listed: a, b", "listed, and no circle any more: c, d"]
        );
    }
}
