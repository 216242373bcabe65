//! Positions in a text: the browser counts UTF-16 units, the model characters.

use shared_model::data::Mention;

/// The number of characters before a position in UTF-16 units.
pub fn scalar_offset(text: &str, utf16_offset: u32) -> usize {
    let mut units = 0;
    text.chars()
        .take_while(|character| {
            units += character.len_utf16();
            units <= utf16_offset as usize
        })
        .count()
}

/// The words between two positions in UTF-16 units, without the white space around them; `None` if there are none.
pub fn selected_words(text: &str, start: u32, end: u32) -> Option<Mention> {
    let (start, end) = (scalar_offset(text, start), scalar_offset(text, end));
    let words: String = text
        .chars()
        .skip(start)
        .take(end.saturating_sub(start))
        .collect();
    let n_leading = words.chars().count() - words.trim_start().chars().count();
    let start = start + n_leading;
    let end = start + words.trim().chars().count();
    (start < end).then_some(Mention { start, end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_outside_the_basic_plane_are_two_units() {
        let text = "a🐆b\u{301}c";
        let offsets = [0, 1, 2, 3, 4, 5, 6, 99];
        // Position 2 lies inside the leopard.
        assert_eq!(
            offsets.map(|offset| scalar_offset(text, offset)),
            [0, 1, 1, 2, 3, 4, 5, 5]
        );
        assert_eq!(scalar_offset("", 3), 0);
    }

    #[track_caller]
    fn check(text: &str, (start, end): (u32, u32), expected: Option<&str>) {
        let words = selected_words(text, start, end);
        let surface = words.map(|mention| mention.surface(text).expect("a span of the text"));
        assert_eq!(surface, expected, "{text:?}, {start}..{end}");
    }

    #[test]
    fn a_selection_is_trimmed_to_its_words() {
        check("Saw a jaguar today", (6, 12), Some("jaguar"));
        check("Saw a jaguar today", (5, 13), Some("jaguar"));
        check("🐆🐆 Zürich\u{a0}\n", (4, 13), Some("Zürich"));
        check("Saw a jaguar today", (5, 6), None);
        check("Saw a jaguar today", (12, 6), None);
        check("Saw a jaguar today", (7, 7), None);
        check("jaguar", (3, 500), Some("uar"));
        check("", (0, 4), None);
    }
}
