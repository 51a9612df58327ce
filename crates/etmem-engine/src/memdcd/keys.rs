//! The keys of a memdcd task.

use etmem_config::error::Rule;
use etmem_config::keys;

/// Where a memdcd listens if a task does not say.
const STANDARD: &str = "@_memdcd.server";

keys! { pub(super) TASK;
    SOCK: Box<str> = needed("Sock", socket)
        .help("Where the decider listens: a path, `@NAME` in the abstract namespace, or `-` for `@_memdcd.server`.").example("-");
}

/// Reads `@NAME`, an absolute path, or `-` for the standard one.
fn socket(text: &str) -> Result<Box<str>, Rule> {
    let text = if text == "-" { STANDARD } else { text };
    // sun_path has 108 bytes, of which one is the leading or the trailing zero.
    let good = match text.strip_prefix('@') {
        Some(name) => (1..=107).contains(&name.len()),
        None => text.starts_with('/') && text.len() <= 107,
    };
    if good { Ok(text.into()) } else { Err(Rule::Form("an absolute path, @NAME or -, of at most 107 bytes")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_socket() {
        let text = "[task]\nproject=a\nengine=memdcd\nname=t\ntype=pid\nvalue=1\nSock=-\n";
        let task = etmem_config::parse("f".as_ref(), text, &crate::keys()).unwrap().tasks.remove(0);
        assert_eq!(&*task.get(&SOCK).unwrap(), "@_memdcd.server");
    }
}
