//! Bits of frames, set and read in runs of neighbouring words.

use crate::small_file::read_words;
use std::fmt;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

/// Frames of a word.
const FRAMES: u64 = 64;

/// Most words of a read or write: 64 KiB, so that none takes long.
const MOST_WORDS: usize = 8192;

/// The kernel's bitmap.
pub(super) trait Bitmap: fmt::Debug + Send + Sync {
    /// Sets the bits that are set in `words`, from the word `first` on; others stay as they are.
    ///
    /// # Errors
    /// What the kernel answers.
    fn set(&self, first: u64, words: &[u64]) -> io::Result<()>;

    /// Reads words from the word `first` on; those after the last frame are 0.
    ///
    /// # Errors
    /// What the kernel answers.
    fn read(&self, first: u64, words: &mut [u64]) -> io::Result<()>;
}

impl Bitmap for File {
    fn set(&self, first: u64, words: &[u64]) -> io::Result<()> {
        let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_ne_bytes()).collect();
        self.write_all_at(&bytes, first * 8)
    }

    fn read(&self, first: u64, words: &mut [u64]) -> io::Result<()> {
        read_words(self, first, words)
    }
}

/// Words of the bitmap, in runs of neighbours that ascend.
#[derive(Debug, Default)]
pub(super) struct Bits {
    runs: Vec<Run>,
}

#[derive(Debug)]
struct Run {
    first: u64,
    words: Vec<u64>,
}

impl Bits {
    /// The bits of `frames`, which are sorted here.
    pub(super) fn of(frames: &mut [u64]) -> Self {
        frames.sort_unstable();
        let mut runs: Vec<Run> = Vec::new();
        for frame in frames {
            let (word, bit) = (*frame / FRAMES, 1 << (*frame % FRAMES));
            match runs.last_mut() {
                Some(run) if word == run.last() => {
                    if let Some(last) = run.words.last_mut() {
                        *last |= bit;
                    }
                }
                Some(run) if word == run.last() + 1 && run.words.len() < MOST_WORDS => run.words.push(bit),
                Some(_) | None => runs.push(Run { first: word, words: vec![bit] }),
            }
        }
        Self { runs }
    }

    /// Sets them in the kernel's bitmap.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn set(&self, bitmap: &dyn Bitmap) -> io::Result<()> {
        self.runs.iter().try_for_each(|run| bitmap.set(run.first, &run.words))
    }

    /// Reads their words.
    ///
    /// # Errors
    /// What the kernel answers.
    pub(super) fn read(&mut self, bitmap: &dyn Bitmap) -> io::Result<()> {
        self.runs.iter_mut().try_for_each(|run| bitmap.read(run.first, &mut run.words))
    }

    /// Whether the bit of `frame` is set, as it was read.
    pub(super) fn has(&self, frame: u64) -> bool {
        let word = frame / FRAMES;
        let next = self.runs.partition_point(|run| run.first <= word);
        let run = next.checked_sub(1).and_then(|at| self.runs.get(at));
        let found = run.and_then(|run| run.words.get(usize::try_from(word - run.first).ok()?));
        found.is_some_and(|word| word >> (frame % FRAMES) & 1 == 1)
    }
}

impl Run {
    fn last(&self) -> u64 {
        self.first + (self.words.len() as u64).saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_file_holds_words_at_their_places() {
        let file = tempfile::tempfile().unwrap();
        let mut bits = Bits::of(&mut [3, 64, 130, 1000]);
        assert_eq!(bits.runs.len(), 2);
        bits.set(&file).unwrap();
        let mut word = [0; 1];
        file.read(15, &mut word).unwrap();
        assert_eq!(word, [1 << (1000 - 15 * 64)]);
        bits.read(&file).unwrap();
        assert!(bits.has(130) && !bits.has(131) && !bits.has(5000) && !bits.has(1));
        let mut beyond = [7; 2];
        file.read(100, &mut beyond).unwrap();
        assert_eq!(beyond, [7, 7].map(|_| 0));
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

        /// Exactly the frames asked for are set, whatever their order.
        #[test]
        fn each_frame_has_its_bit(frames in proptest::collection::vec(0u64..3000, 0..80)) {
            let bits = Bits::of(&mut frames.clone());
            let want: BTreeSet<u64> = frames.into_iter().collect();
            for frame in 0..3100 {
                prop_assert_eq!(bits.has(frame), want.contains(&frame));
            }
            prop_assert!(bits.runs.windows(2).all(|pair| pair[0].last() < pair[1].first));
        }
    }
}
