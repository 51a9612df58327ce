//! What a person has chosen, and how keys change it.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

/// By what rows are sorted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Sort {
    Name,
    #[default]
    Resident,
    Hot,
    Warm,
    Cold,
    Out,
    Refaults,
    Price,
}

impl Sort {
    /// Each with its key and its word.
    pub(super) const ALL: [(Self, char, &'static str); 8] = [
        (Self::Name, 'n', "name"),
        (Self::Resident, 'r', "resident"),
        (Self::Hot, 'h', "hot"),
        (Self::Warm, 'w', "warm"),
        (Self::Cold, 'c', "cold"),
        (Self::Out, 'o', "out"),
        (Self::Refaults, 'f', "refaults"),
        (Self::Price, 'p', "price"),
    ];

    pub(super) fn word(self) -> &'static str {
        Self::ALL.iter().find(|(sort, ..)| *sort == self).map_or("", |(_, _, word)| word)
    }
}

/// What is shown, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct View {
    pub(super) sort: Sort,
    pub(super) reversed: bool,
    /// Only rows that have this in their name or their reason.
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) typing: bool,
    pub(super) paused: bool,
    pub(super) help: bool,
    /// Whether processes and control groups are shown.
    pub(super) parts: bool,
    /// The row that is explained.
    pub(super) selected: usize,
}

impl Default for View {
    fn default() -> Self {
        Self {
            sort: Sort::default(),
            reversed: false,
            filter: String::new(),
            typing: false,
            paused: false,
            help: false,
            parts: true,
            selected: 0,
        }
    }
}

/// How many rows a page has, whatever the terminal.
const PAGE: usize = 10;

impl View {
    /// Takes a key, while `rows` are there; false if it ends the program.
    pub(super) fn press(&mut self, key: KeyEvent, rows: usize) -> bool {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return key.code != KeyCode::Char('c');
        }
        if self.typing {
            self.type_filter(key.code);
            return true;
        }
        if self.help {
            // Any key leaves the help.
            self.help = false;
            return key.code != KeyCode::Char('q');
        }
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other keys do nothing")]
        match key.code {
            KeyCode::Char('q') => return false,
            KeyCode::Char('?') => self.help = true,
            KeyCode::Char('/') => {
                self.typing = true;
                self.filter.clear();
            }
            KeyCode::Esc => self.filter.clear(),
            KeyCode::Char(' ') => self.paused = !self.paused,
            KeyCode::Char('t') => self.parts = !self.parts,
            KeyCode::Char('v') => self.reversed = !self.reversed,
            KeyCode::Down | KeyCode::Char('j') => self.selected = self.selected.saturating_add(1),
            KeyCode::Up | KeyCode::Char('k') => self.selected = self.selected.saturating_sub(1),
            KeyCode::PageDown => self.selected = self.selected.saturating_add(PAGE),
            KeyCode::PageUp => self.selected = self.selected.saturating_sub(PAGE),
            KeyCode::Home => self.selected = 0,
            KeyCode::End => self.selected = rows,
            KeyCode::Char(letter) => {
                if let Some((sort, ..)) = Sort::ALL.iter().find(|(_, key, _)| *key == letter) {
                    self.sort = *sort;
                }
            }
            _ => {}
        }
        self.selected = self.selected.min(rows.saturating_sub(1));
        true
    }

    fn type_filter(&mut self, key: KeyCode) {
        #[expect(clippy::wildcard_enum_match_arm, reason = "all other keys do nothing")]
        match key {
            KeyCode::Enter => self.typing = false,
            KeyCode::Esc => {
                self.typing = false;
                self.filter.clear();
            }
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Char(letter) if !letter.is_control() => self.filter.push(letter),
            _ => {}
        }
        self.selected = 0;
    }
}
