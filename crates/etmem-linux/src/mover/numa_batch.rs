//! One batch of pages for another node, and what became of each.
//!
//! What move_pages(2) tells has gaps (`mm/migrate.c`, `do_pages_move`): once a page could not be moved it ends, with how
//! many did not go as its answer, pages after it untried, and no status written for those it had taken on, not even
//! for those that went. So after each call it is asked where the pages are, which is what counts; what stayed and may go
//! yet is asked for again, as long as that gets on.

use etmem_core::kernel::nodes::{Migrated, NodeId, Place};
use etmem_core::kernel::process::ProcessError;
use std::io;

/// The kernel writes a node, 0 or above, or an error, from -1 to -4095.
const NO_STATUS: i32 = i32::MIN;

/// How often pages are asked for of which some went each time.
const ATTEMPTS: usize = 4;

/// The kernel's side of a mover.
pub(super) trait Pages {
    /// Where each page is, as the kernel writes it.
    ///
    /// # Errors
    /// When the process is gone, or the kernel refuses the call as a whole.
    fn look(&mut self, pages: &[u64], status: &mut [i32]) -> Result<(), ProcessError>;

    /// Asks for `pages` to be moved: how many did not go, or that the node has no memory left.
    ///
    /// # Errors
    /// As `look`.
    fn ask(
        &mut self,
        pages: &[u64],
        node: NodeId,
        status: &mut [i32],
    ) -> Result<io::Result<u64>, ProcessError>;
}

/// Where a page is, by its status.
pub(super) fn place(status: i32) -> Place {
    match (u16::try_from(status), -status.max(-4095)) {
        (Ok(node), _) => Place::Node(NodeId(node)),
        (Err(_), libc::ENOENT | libc::EFAULT) => Place::Absent,
        (Err(_), _) => Place::Unknown,
    }
}

/// Looks where `pages` are, into `status`.
///
/// # Errors
/// As [`Pages::look`].
pub(super) fn look(kernel: &mut dyn Pages, pages: &[u64], status: &mut Vec<i32>) -> Result<(), ProcessError> {
    status.clear();
    status.resize(pages.len(), NO_STATUS);
    kernel.look(pages, status)
}

/// Counts a page that will not move, by the error of its status.
fn count(error: i32, migrated: &mut Migrated) {
    *match -error {
        libc::ENOENT | libc::EFAULT => &mut migrated.vanished,
        libc::EBUSY | libc::EAGAIN => &mut migrated.busy,
        libc::EACCES => &mut migrated.shared,
        libc::ENOMEM => &mut migrated.no_room,
        _ => &mut migrated.refused,
    } += 1;
}

/// Moves `pages` to `node`, and adds what became of them to `migrated`; those that are there already count nowhere.
///
/// # Errors
/// As [`Pages::look`].
pub(super) fn move_batch(
    kernel: &mut dyn Pages,
    pages: &[u64],
    node: NodeId,
    migrated: &mut Migrated,
) -> Result<(), ProcessError> {
    let mut status = Vec::new();
    look(kernel, pages, &mut status)?;
    let mut open = Vec::with_capacity(pages.len());
    for (&page, &status) in pages.iter().zip(&status) {
        match place(status) {
            Place::Node(at) if at == node => {}
            Place::Node(_) => open.push(page),
            Place::Absent | Place::Unknown => count(status, migrated),
        }
    }
    let mut stayed = libc::EBUSY;
    for _ in 0..ATTEMPTS {
        if open.is_empty() {
            return Ok(());
        }
        let mut asked = vec![NO_STATUS; open.len()];
        let answer = kernel.ask(&open, node, &mut asked)?;
        look(kernel, &open, &mut status)?;
        stayed = if answer.is_err() { libc::ENOMEM } else { libc::EBUSY };
        let before = migrated.moved;
        let mut left = Vec::new();
        for ((&page, &now), &asked) in open.iter().zip(&status).zip(&asked) {
            match place(now) {
                Place::Node(at) if at == node => migrated.moved += 1,
                Place::Absent | Place::Unknown => count(now, migrated),
                // What the kernel said of this page alone is settled, unless it said to come again.
                Place::Node(_) => match -asked.max(-4095) {
                    error @ 1..=4094 if !matches!(error, libc::EBUSY | libc::EAGAIN) => {
                        count(asked, migrated)
                    }
                    _ => left.push(page),
                },
            }
        }
        open = left;
        if migrated.moved == before {
            break;
        }
    }
    open.iter().for_each(|_| count(-stayed, migrated));
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    const GOAL: NodeId = NodeId(1);

    /// What a page of the script does when it is asked for.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Nature {
        There,
        Goes,
        /// Cannot be taken on: its status is this error.
        Refuses(i32),
        /// Is taken on and stays; its status is not written.
        Stays,
        /// Goes at the second time of asking.
        Late,
        Absent,
        /// Is gone once it was asked for.
        Vanishes,
    }

    /// A kernel as `do_pages_move` is.
    #[derive(Debug, Default)]
    struct Script {
        pages: BTreeMap<u64, Nature>,
        room: usize,
        asked: usize,
        is_gone: bool,
    }

    impl Script {
        /// Moves what was taken on: how many stay, or that there is no room.
        fn move_taken(&mut self, taken: &[u64]) -> io::Result<u64> {
            let mut stay = 0;
            for page in taken {
                let nature = self.pages.get_mut(page).unwrap();
                match *nature {
                    Nature::Goes if self.room == 0 => return Err(io::Error::from_raw_os_error(libc::ENOMEM)),
                    Nature::Goes => {
                        self.room -= 1;
                        *nature = Nature::There;
                    }
                    Nature::Late => {
                        *nature = Nature::Goes;
                        stay += 1;
                    }
                    Nature::Stays => stay += 1,
                    Nature::Vanishes => *nature = Nature::Absent,
                    Nature::There | Nature::Refuses(_) | Nature::Absent => {}
                }
            }
            Ok(stay)
        }
    }

    impl Pages for Script {
        fn look(&mut self, pages: &[u64], status: &mut [i32]) -> Result<(), ProcessError> {
            if self.is_gone {
                return Err(ProcessError::Exited);
            }
            for (page, status) in pages.iter().zip(status) {
                *status = match self.pages[page] {
                    Nature::There => i32::from(GOAL.0),
                    Nature::Absent => -libc::ENOENT,
                    Nature::Goes | Nature::Refuses(_) | Nature::Stays | Nature::Late | Nature::Vanishes => 0,
                };
            }
            Ok(())
        }

        fn ask(
            &mut self,
            pages: &[u64],
            node: NodeId,
            status: &mut [i32],
        ) -> Result<io::Result<u64>, ProcessError> {
            assert_eq!(node, GOAL);
            self.asked += 1;
            let mut taken = Vec::new();
            for (at, page) in pages.iter().enumerate() {
                let error = match self.pages[page] {
                    Nature::Refuses(error) => -error,
                    Nature::Absent => -libc::ENOENT,
                    Nature::There | Nature::Goes | Nature::Stays | Nature::Late | Nature::Vanishes => {
                        taken.push((at, *page));
                        continue;
                    }
                };
                status[at] = error;
                // A page that cannot be taken on has those before it moved, and ends all if one of them stays.
                let answer = self.move_taken(&taken.iter().map(|(_, page)| *page).collect::<Vec<_>>());
                match answer {
                    Ok(0) => taken.drain(..).for_each(|(at, _)| status[at] = i32::from(GOAL.0)),
                    Ok(stay) => return Ok(Ok(stay + (pages.len() - at - 1) as u64)),
                    Err(error) => return Ok(Err(error)),
                }
            }
            let answer = self.move_taken(&taken.iter().map(|(_, page)| *page).collect::<Vec<_>>());
            if matches!(answer, Ok(0)) {
                taken.iter().for_each(|(at, _)| status[*at] = i32::from(GOAL.0));
            }
            Ok(answer)
        }
    }

    fn run(natures: &[Nature], room: usize) -> (Migrated, Script) {
        let pages: BTreeMap<u64, Nature> =
            (1..).zip(natures).map(|(page, nature)| (page * 4096, *nature)).collect();
        let mut script = Script { pages, room, ..Script::default() };
        let list: Vec<u64> = script.pages.keys().copied().collect();
        let mut migrated = Migrated::default();
        move_batch(&mut script, &list, GOAL, &mut migrated).unwrap();
        (migrated, script)
    }

    #[test]
    fn statuses_are_places() {
        for (status, want) in [
            (0, Place::Node(NodeId(0))),
            (3, Place::Node(NodeId(3))),
            (-libc::ENOENT, Place::Absent),
            (-libc::EFAULT, Place::Absent),
            (-libc::EIO, Place::Unknown),
            (NO_STATUS, Place::Unknown),
            (i32::MAX, Place::Unknown),
        ] {
            assert_eq!(place(status), want, "{status}");
        }
    }

    #[test]
    fn each_page_is_counted_by_what_became_of_it() {
        use Nature::{Absent, Goes, Late, Refuses, Stays, There, Vanishes};
        for (natures, want) in [
            (&[][..], Migrated::default()),
            (&[There, There], Migrated::default()),
            (&[Goes, There, Absent], Migrated { moved: 1, vanished: 1, ..Migrated::default() }),
            (
                &[Refuses(libc::EACCES), Goes, Refuses(libc::EINVAL), Goes],
                Migrated { moved: 2, shared: 1, refused: 1, ..Migrated::default() },
            ),
            // One that stays in front of one that cannot be taken on leaves those after it untried.
            (
                &[Goes, Stays, Refuses(libc::EACCES), Goes, Goes],
                Migrated { moved: 3, busy: 1, shared: 1, ..Migrated::default() },
            ),
            (&[Stays, Stays], Migrated { busy: 2, ..Migrated::default() }),
            (&[Late, Goes], Migrated { moved: 2, ..Migrated::default() }),
            (&[Vanishes, Goes], Migrated { moved: 1, vanished: 1, ..Migrated::default() }),
            (&[Refuses(libc::EBUSY), Goes], Migrated { moved: 1, busy: 1, ..Migrated::default() }),
        ] {
            assert_eq!(run(natures, 99).0, want, "{natures:?}");
        }
    }

    #[test]
    fn a_full_node_takes_what_it_can() {
        let (migrated, script) = run(&[Nature::Goes; 10], 3);
        assert_eq!(migrated, Migrated { moved: 3, no_room: 7, ..Migrated::default() });
        assert_eq!(script.asked, 2, "it is asked again as long as that gets on");
        assert_eq!(run(&[Nature::Goes; 10], 0).0, Migrated { no_room: 10, ..Migrated::default() });
    }

    #[test]
    fn a_process_that_is_gone() {
        let mut script =
            Script { pages: BTreeMap::from([(4096, Nature::Goes)]), is_gone: true, ..Script::default() };
        let gone = move_batch(&mut script, &[4096], GOAL, &mut Migrated::default());
        assert_eq!(gone, Err(ProcessError::Exited));
    }

    fn nature() -> impl Strategy<Value = Nature> {
        prop_oneof![
            Just(Nature::There),
            Just(Nature::Goes),
            prop_oneof![Just(libc::EACCES), Just(libc::EINVAL), Just(libc::EBUSY)].prop_map(Nature::Refuses),
            Just(Nature::Stays),
            Just(Nature::Late),
            Just(Nature::Absent),
            Just(Nature::Vanishes),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

        /// Every page is counted once, those said to have moved have moved, and the asking ends.
        #[test]
        fn all_are_accounted_for(natures in proptest::collection::vec(nature(), 0..60), room in 0usize..60) {
            let were_there = natures.iter().filter(|nature| **nature == Nature::There).count() as u64;
            let (migrated, script) = run(&natures, room);
            let Migrated { moved, vanished, busy, shared, no_room, refused } = migrated;
            let there = script.pages.values().filter(|nature| **nature == Nature::There).count() as u64;
            prop_assert_eq!(moved, there - were_there);
            prop_assert!(moved <= room as u64);
            prop_assert!(script.asked <= ATTEMPTS);
            let counted = were_there + moved + vanished + busy + shared + no_room + refused;
            prop_assert_eq!(counted, natures.len() as u64);
        }
    }
}
