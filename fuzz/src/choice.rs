//! Choices that depend on nothing but the input, so that a finding can be replayed, and that take no byte of it, so
//! that the seeds are files as they are in the field.

/// Numbers drawn from the input's own bytes.
#[derive(Debug)]
pub(crate) struct Choice(u64);

impl Choice {
    /// Begins with the FNV-1a sum of `bytes`.
    pub(crate) fn from_input(bytes: &[u8]) -> Self {
        const START: u64 = 0xcbf2_9ce4_8422_2325;
        const PRIME: u64 = 0x0100_0000_01b3;
        Self(bytes.iter().fold(START, |sum, byte| (sum ^ u64::from(*byte)).wrapping_mul(PRIME)))
    }

    /// The next number below `bound`, by the steps of splitmix64.
    pub(crate) fn below(&mut self, bound: u16) -> u16 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let upper = (mixed >> 48).to_le_bytes();
        u16::from_le_bytes([upper[0], upper[1]]) % bound.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_input_makes_the_same_choices() {
        let draw = |bytes: &[u8]| {
            let mut choice = Choice::from_input(bytes);
            [(); 8].map(|()| choice.below(100))
        };
        assert_eq!(draw(b"a"), draw(b"a"));
        assert_ne!(draw(b"a"), draw(b"b"));
        assert!(draw(b"a").iter().all(|number| *number < 100));
    }
}
