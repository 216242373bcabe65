//! The page's fragment: read when the page opens, written by the lesson and for links.

use leptos::prelude::*;
use web::lesson::CASES;
use web::share::Shared;

use super::Client;
use crate::browser;

impl Client {
    /// Takes over what the page's fragment carries.
    pub(super) fn take_fragment(self) {
        let shared = Shared::parse(&browser::fragment());
        self.conditions.set(shared.conditions);
        if !shared.text.is_empty() {
            self.set_text(shared.text);
        }
        self.show_case(shared.lesson.filter(|case| *case < CASES.len()));
    }

    /// Takes over what a link carries that was opened in this tab: a post without pictures.
    pub(super) fn follow_fragment(self) {
        let Shared {
            text, conditions, ..
        } = Shared::parse(&browser::fragment());
        if !text.is_empty() && text != self.text.get_untracked() {
            self.remove_pictures(|_| true);
        }
        if conditions != self.conditions.get_untracked() {
            self.set_conditions(|now| *now = conditions);
        }
        self.take_fragment();
    }

    /// Goes to a case of the lesson, or ends it.
    pub(crate) fn show_case(self, case: Option<usize>) {
        if case != self.lesson.get_untracked() {
            self.lesson.set(case);
            let lesson = Shared {
                lesson: case,
                ..Shared::default()
            };
            browser::set_fragment(&lesson.fragment());
        }
    }

    /// Shows the example of a case, by its title.
    pub(crate) fn reveal_case(self, title: &str) {
        let example = self.examples.with_untracked(|examples| {
            let mut examples = examples.iter();
            examples.find(|example| example.title == title).cloned()
        });
        if let Some(example) = example {
            self.use_everything();
            self.show_example(example);
        }
    }

    /// The address of the page with the post's text, the settings and the lesson's case.
    pub(crate) fn link(self) -> String {
        let shared = Shared {
            text: self.text.get_untracked(),
            conditions: self.conditions.get_untracked(),
            lesson: self.lesson.get_untracked(),
        };
        browser::address_with_fragment(&shared.fragment())
    }
}
