//! Where windows begin and end, in milliseconds.

/// The windows that an instant belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Frame {
    /// Windows of one length that begin at equal distances; tumbling ones where both are the same.
    Hop {
        size: i64,
        slide: i64,
        offset: i64,
        /// The parts that no edge cuts.
        pane: i64,
    },
    /// Windows that end when no row comes for so long.
    Session { gap: i64 },
}

impl Frame {
    pub(super) fn tumble(size: i64, offset: i64) -> Self {
        Self::hop(size, size, offset)
    }

    pub(super) fn hop(size: i64, slide: i64, offset: i64) -> Self {
        Self::Hop { size, slide, offset: offset.rem_euclid(slide), pane: divisor(size, slide) }
    }

    pub(super) fn session(gap: i64) -> Self {
        Self::Session { gap }
    }

    /// The beginning of the pane of an instant.
    pub(super) fn pane(&self, ms: i64) -> i64 {
        match *self {
            Self::Hop { pane, offset, .. } => floor(ms, pane, offset),
            Self::Session { .. } => ms,
        }
    }

    /// True for a pane that takes no rows any more, when windows that end at `closed` or before are closed.
    ///
    /// A row of a session could belong to one that ended at `closed`: behind that it is late, so that no two overlap.
    pub(super) fn is_late(&self, pane: i64, closed: i64) -> bool {
        match *self {
            Self::Hop { size, slide, offset, .. } => first_end(pane, size, slide, offset) <= closed,
            Self::Session { .. } => pane < closed,
        }
    }
}

/// The end of the first window that ends behind an instant: the first that covers a pane which begins there.
pub(super) fn first_end(pane: i64, size: i64, slide: i64, offset: i64) -> i64 {
    floor(pane.saturating_sub(size), slide, offset).saturating_add(slide).saturating_add(size)
}

/// The last edge at or before an instant.
fn floor(ms: i64, step: i64, offset: i64) -> i64 {
    ms.saturating_sub(ms.saturating_sub(offset).rem_euclid(step))
}

fn divisor(a: i64, b: i64) -> i64 {
    if b == 0 { a } else { divisor(b, a % b) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn edges_and_panes() {
        let hop = Frame::hop(10, 4, 1);
        assert_eq!(hop, Frame::Hop { size: 10, slide: 4, offset: 1, pane: 2 });
        assert_eq!([hop.pane(0), hop.pane(1), hop.pane(-2)], [-1, 1, -3]);
        assert_eq!(first_end(20, 10, 10, 0), 30);
        assert_eq!(Frame::tumble(10, 0).pane(-1), -10);
        assert!(Frame::tumble(10, 0).is_late(20, 30) && !Frame::tumble(10, 0).is_late(20, 29));
        assert!(Frame::session(5).is_late(7, 8) && !Frame::session(5).is_late(7, 7));
    }

    proptest! {
        #[test]
        fn the_first_window_of_an_instant_is_the_first_that_covers_it(ms in -1_000i64..1_000, size in 1i64..50, slide in 1i64..50, offset in 0i64..60) {
            prop_assume!(slide <= size);
            let frame = Frame::hop(size, slide, offset);
            let found = first_end(frame.pane(ms), size, slide, offset);
            let begins = (-1_100i64..1_100).filter(|begin| (begin - offset).rem_euclid(slide) == 0);
            let first = begins.into_iter().find(|begin| *begin <= ms && ms < begin + size).unwrap();
            prop_assert_eq!(found, first + size);
        }
    }
}
