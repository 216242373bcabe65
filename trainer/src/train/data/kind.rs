//! Kinds of candidate lists.

/// Candidates of a list, by whether the network was trained on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ListKind {
    /// It was trained on all.
    Known,
    /// It was trained on some.
    Mixed,
    /// It was trained on none.
    New,
}

impl ListKind {
    /// All kinds.
    pub(crate) const ALL: [Self; 3] = [Self::Known, Self::Mixed, Self::New];

    /// The kind of a list, given whether each candidate is known.
    pub(crate) fn of(known: &[bool]) -> Self {
        match known.iter().filter(|known| **known).count() {
            n if n == known.len() => Self::Known,
            0 => Self::New,
            _ => Self::Mixed,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_known_mixed_or_new() {
        assert_eq!(ListKind::of(&[true, true]), ListKind::Known);
        assert_eq!(ListKind::of(&[false, true]), ListKind::Mixed);
        assert_eq!(ListKind::of(&[false, false]), ListKind::New);
    }
}
