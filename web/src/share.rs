//! What a link to the page carries in its fragment: text, settings and the step of the lesson, never a picture.

use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::protocol::{Conditions, Sides};

/// What has a meaning in a fragment or in this format.
const RESERVED: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'&')
    .add(b'<')
    .add(b'=')
    .add(b'>')
    .add(b'`');
/// Longest text that a link carries, in characters: longer addresses are cut by some programs.
pub const MAX_CHARACTERS: usize = 1_000;

/// What a link carries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Shared {
    /// The post's text; empty for none.
    pub text: String,
    /// What the ranking may use.
    pub conditions: Conditions,
    /// Position of the lesson's case.
    pub lesson: Option<usize>,
}

impl Shared {
    /// The fragment, without `#`; empty if there is nothing to carry.
    pub fn fragment(&self) -> String {
        let mut parts = Vec::new();
        if !self.text.is_empty() {
            let text: String = self.text.chars().take(MAX_CHARACTERS).collect();
            let text = utf8_percent_encode(&text, RESERVED);
            parts.push(format!("text={text}"));
        }
        let Conditions {
            post, candidate, ..
        } = self.conditions;
        for (name, sides) in [("post", post), ("candidates", candidate)] {
            if sides != Sides::ALL {
                let text = if sides.text { "text" } else { "" };
                let image = if sides.image { "image" } else { "" };
                parts.push(format!("{name}={text},{image}"));
            }
        }
        if !self.conditions.network {
            parts.push("network=off".to_owned());
        }
        parts.extend(self.lesson.map(|case| format!("lesson={}", case + 1)));
        parts.join("&")
    }

    /// Reads a fragment; what it does not know is left out.
    pub fn parse(fragment: &str) -> Self {
        let mut shared = Self::default();
        let parts = fragment.trim_start_matches('#').split('&');
        for (name, value) in parts.filter_map(|part| part.split_once('=')) {
            let sides = || Sides {
                text: value.split(',').any(|part| part == "text"),
                image: value.split(',').any(|part| part == "image"),
            };
            match name {
                "text" => {
                    let text = percent_decode_str(value).decode_utf8_lossy();
                    shared.text = text.chars().take(MAX_CHARACTERS).collect();
                }
                "post" => shared.conditions.post = sides(),
                "candidates" => shared.conditions.candidate = sides(),
                "network" => shared.conditions.network = value != "off",
                "lesson" => {
                    let case: Option<usize> = value.parse().ok();
                    shared.lesson = case.and_then(|case| case.checked_sub(1));
                }
                _ => {}
            }
        }
        shared
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fragment_gives_back_what_it_was_made_of() {
        let all = Shared {
            text: "50 % of #jaguars & <b>“cats”</b> = 🐆\nnew line".to_owned(),
            conditions: Conditions {
                post: Sides {
                    text: true,
                    image: false,
                },
                candidate: Sides {
                    text: false,
                    image: false,
                },
                network: false,
            },
            lesson: Some(7),
        };
        let fragment = all.fragment();
        assert!(!fragment.contains(['#', '<', ' ', '\n']), "{fragment}");
        assert_eq!(Shared::parse(&format!("#{fragment}")), all);
        assert_eq!(Shared::parse(""), Shared::default());
        assert_eq!(Shared::default().fragment(), "");
    }

    #[test]
    fn what_it_does_not_know_is_left_out() {
        for fragment in ["#lesson=0", "#lesson=x", "#picture=a.jpg", "#&&=", "#text"] {
            assert_eq!(Shared::parse(fragment), Shared::default(), "{fragment}");
        }
        let long = format!("text={}", "a".repeat(5_000));
        assert_eq!(Shared::parse(&long).text.len(), MAX_CHARACTERS);
        assert_eq!(Shared::parse("text=%FF%41").text, "\u{fffd}A");
    }
}
