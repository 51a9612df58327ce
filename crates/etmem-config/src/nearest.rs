//! The known word that a mistyped one was most likely meant to be.

use crate::excerpt::is_invisible;
use std::fmt;

/// More than any known word and its mistypings have: of a longer word only the beginning is compared.
const COMPARED: usize = 64;

/// The known word nearest to another by edit distance, without regard to case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Nearest {
    /// The known word.
    pub word: &'static str,
    /// Whether it is so near that it was probably meant: at most a third of it differs, or two characters.
    pub probable: bool,
}

impl Nearest {
    /// The one of `known` nearest to `word`; `None` if nothing is known.
    pub(crate) fn to(word: &str, known: impl IntoIterator<Item = &'static str>) -> Option<Self> {
        // What cannot be seen was not meant.
        let visible = word.chars().filter(|character| !is_invisible(*character));
        let typed: String = visible.take(COMPARED).collect::<String>().to_lowercase();
        known
            .into_iter()
            .map(|candidate| (strsim::damerau_levenshtein(&typed, &candidate.to_lowercase()), candidate))
            .min()
            .map(|(distance, word)| {
                let tolerated = (word.len() / 3).max(2).min(word.len() - 1);
                Self { word, probable: distance <= tolerated }
            })
    }
}

impl fmt::Display for Nearest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.probable {
            write!(f, "did you mean {}?", self.word)
        } else {
            write!(f, "the nearest known one is {}", self.word)
        }
    }
}

/// What a message adds about the nearest word; nothing where there is none.
pub(crate) fn suggestion(nearest: Option<&Nearest>) -> String {
    nearest.map_or_else(String::new, |nearest| format!("; {nearest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nearest_word() {
        let known = ["loop", "interval", "swapcache_high_wmark", "swapcache_low_wmark", "T"];
        for (typed, word, probable) in [
            ("swapcache_high_vmark", "swapcache_high_wmark", true),
            ("lopo", "loop", true),
            ("Loop", "loop", true),
            ("t", "T", true),
            ("T\u{a0}", "T", true),
            ("x", "T", false),
            ("intervall", "interval", true),
            ("colour_of_the_sky", "loop", false),
        ] {
            assert_eq!(Nearest::to(typed, known), Some(Nearest { word, probable }), "{typed}");
        }
        assert_eq!(Nearest::to("loop", []), None);
        assert!(Nearest::to(&"x".repeat(1 << 20), known).is_some());
    }
}
