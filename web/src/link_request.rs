//! The way from a visitor's wish for an answer to the request that the worker gets.

use crate::post::Name;

/// The answer that a visitor wants, and what is already known for it.
#[derive(Debug, Default)]
pub struct LinkRequest {
    wanted: bool,
    /// Id of the request that the worker has not answered, and the words asked about.
    sent: Option<(u32, String)>,
    search: Option<Search>,
}

/// A text whose mentions were asked for.
#[derive(Debug)]
struct Search {
    text: String,
    is_answered: bool,
}

/// What to do next for the answer that a visitor wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask the worker for the mentions in the text.
    FindMentions,
    /// Wait for the worker.
    Wait,
    /// Tell the visitor that there is nothing to link.
    NothingToLink,
    /// Link this mention.
    Link(Name),
}

impl LinkRequest {
    /// A visitor wants an answer; an earlier one is no longer waited for.
    pub fn want(&mut self) {
        self.wanted = true;
        self.sent = None;
    }

    /// The text has changed: an answer to the old one does not count.
    /// Only a visitor who waits for the model is still waiting.
    pub fn edit(&mut self, is_loading: bool) {
        self.sent = None;
        self.wanted &= is_loading;
    }

    /// Nothing is wanted any more, and what the worker knows is forgotten.
    pub fn cancel(&mut self) {
        *self = Self::default();
    }

    /// The worker is gone: an answer that was waited for is wanted from the next one.
    pub fn want_again(&mut self) {
        *self = Self {
            wanted: self.wanted || self.sent.is_some(),
            ..Self::default()
        };
    }

    /// Whether a visitor wants an answer that has not been asked for.
    pub fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// The next step for the post as it is. [`Step::Link`] and [`Step::NothingToLink`] fulfil the wish.
    pub fn next(&mut self, text: &str, pictures_wait: bool, chosen: Option<Name>) -> Step {
        if self.must_search(text) {
            return Step::FindMentions;
        }
        let search = self.search.as_ref();
        if pictures_wait || search.is_none_or(|search| !search.is_answered) {
            return Step::Wait;
        }
        self.wanted = false;
        chosen.map_or(Step::NothingToLink, Step::Link)
    }

    /// Whether the mentions in `text` must be asked for; if so, they count as asked for from now on.
    pub fn must_search(&mut self, text: &str) -> bool {
        let search = self.search.as_ref();
        if search.is_some_and(|search| search.text == text) {
            return false;
        }
        self.search = Some(Search {
            text: text.to_owned(),
            is_answered: false,
        });
        true
    }

    /// There are other names than before: the mentions have to be asked for again.
    pub fn forget_search(&mut self) {
        self.search = None;
    }

    /// The worker has answered with the mentions in `text`.
    pub fn take_search(&mut self, text: &str) {
        if let Some(search) = &mut self.search
            && search.text == text
        {
            search.is_answered = true;
        }
    }

    /// A request is sent to the worker.
    pub fn send(&mut self, id: u32, surface: String) {
        self.sent = Some((id, surface));
    }

    /// Whether the answer with this id is waited for.
    pub fn awaits(&self, id: u32) -> bool {
        self.sent.as_ref().is_some_and(|(sent, _)| *sent == id)
    }

    /// The words that were asked about, if this is the answer that is waited for.
    pub fn take_answer(&mut self, id: u32) -> Option<String> {
        let answered = self.sent.take_if(|(sent, _)| *sent == id);
        answered.map(|(_, surface)| surface)
    }
}

#[cfg(test)]
mod tests {
    use shared_model::data::Mention;

    use super::*;

    const TEXT: &str = "Saw a jaguar";

    fn jaguar() -> Option<Name> {
        Name::new(Mention { start: 6, end: 12 }, TEXT)
    }

    #[test]
    fn mentions_and_pictures_come_before_the_link() {
        let mut request = LinkRequest::default();
        request.want();
        assert_eq!(request.next(TEXT, true, None), Step::FindMentions);
        assert_eq!(request.next(TEXT, true, None), Step::Wait);
        request.take_search(TEXT);
        assert_eq!(request.next(TEXT, true, jaguar()), Step::Wait);
        assert!(request.is_wanted());
        let Step::Link(name) = request.next(TEXT, false, jaguar()) else {
            panic!("everything is known: {request:?}");
        };
        request.send(7, name.surface);
        assert!(!request.is_wanted() && request.awaits(7));
        assert_eq!(request.take_answer(6), None);
        assert_eq!(request.take_answer(7).as_deref(), Some("jaguar"));
        assert_eq!(request.take_answer(7), None);
    }

    #[test]
    fn a_text_without_names_ends_the_wish() {
        for text in ["", "nothing", "🐆"] {
            let mut request = LinkRequest::default();
            request.want();
            assert!(request.must_search(text));
            request.take_search(text);
            assert_eq!(request.next(text, false, None), Step::NothingToLink);
            assert!(!request.is_wanted());
        }
    }

    #[test]
    fn an_edit_makes_an_answer_outdated() {
        for is_loading in [false, true] {
            let mut request = LinkRequest::default();
            request.want();
            request.edit(is_loading);
            assert_eq!(request.is_wanted(), is_loading);
        }
        let mut request = LinkRequest::default();
        request.send(1, "jaguar".to_owned());
        request.edit(false);
        assert!(!request.awaits(1));
    }

    #[test]
    fn other_names_are_searched_for_again() {
        let mut request = LinkRequest::default();
        assert!(request.must_search(TEXT));
        request.take_search(TEXT);
        assert!(!request.must_search(TEXT));
        request.forget_search();
        assert!(request.must_search(TEXT));
    }

    #[test]
    fn mentions_of_an_older_text_are_not_enough() {
        let mut request = LinkRequest::default();
        request.want();
        assert!(request.must_search("Saw a puma"));
        assert!(request.must_search(TEXT));
        request.take_search("Saw a puma");
        assert_eq!(request.next(TEXT, false, None), Step::Wait);
        request.take_search(TEXT);
        assert!(matches!(request.next(TEXT, false, jaguar()), Step::Link(_)));
    }

    #[test]
    fn a_new_worker_is_asked_for_what_the_old_one_owed() {
        type Action = fn(&mut LinkRequest);
        let check = |before: Action, lose: Action, is_wanted: bool| {
            let mut request = LinkRequest::default();
            request.must_search(TEXT);
            request.take_search(TEXT);
            before(&mut request);
            lose(&mut request);
            assert_eq!(request.is_wanted(), is_wanted);
            assert!(!request.awaits(1));
            assert!(request.must_search(TEXT), "a new worker knows no mentions");
        };
        let send: Action = |request| request.send(1, "jaguar".to_owned());
        check(send, LinkRequest::want_again, true);
        check(LinkRequest::want, LinkRequest::want_again, true);
        check(|_| (), LinkRequest::want_again, false);
        check(send, LinkRequest::cancel, false);
        check(LinkRequest::want, LinkRequest::cancel, false);
    }
}
