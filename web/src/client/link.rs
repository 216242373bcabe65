//! The link: from the button to the answer.

use leptos::prelude::*;
use shared_model::data::{Mention, Ranking};
use web::link_request::{LinkRequest, Step};
use web::phase::Phase;
use web::post::{Chosen, Name, PictureState};
use web::protocol::{Request, Stage, StageTimes};

use super::Client;
use crate::state::Answer;

impl Client {
    /// Links the chosen mention, after loading the model where it must be.
    pub(crate) fn run(self) {
        self.error.set(None);
        self.hint.set(None);
        if self.text.with_untracked(|text| text.trim().is_empty()) {
            self.hint
                .set(Some("Write a post first, or take an example."));
            let phase = self.phase.get_untracked();
            self.phase.set(phase.without_answer(self.is_loaded()));
            return;
        }
        self.request(LinkRequest::want);
        self.load();
        self.advance();
    }

    /// Takes the next step towards the answer that a visitor wants, if the model is loaded.
    pub(super) fn advance(self) {
        if !self.is_loaded() || !self.request(|request| request.is_wanted()) {
            return;
        }
        self.phase.set(Phase::Running(None));
        let text = self.text.get_untracked();
        let pictures_wait = self.pictures.with_untracked(|pictures| {
            pictures
                .iter()
                .any(|picture| picture.state == PictureState::Waiting)
        });
        let name = self.chosen.get_untracked().map(|chosen| chosen.name);
        match self.request(|request| request.next(&text, pictures_wait, name)) {
            Step::FindMentions => self.send(&Request::Mentions { text }, None),
            Step::Wait => {}
            Step::NothingToLink => {
                self.hint.set(Some("No known name is in this text. Select the words you mean and press “Link the selection”."));
                self.phase.set(Phase::Ready);
            }
            Step::Link(name) => self.send_link(text, name),
        }
    }

    /// Links again after a change of mention or pictures, once there has been an answer.
    pub(super) fn link_again(self) {
        let phase = self.phase.get_untracked();
        let is_running = matches!(phase, Phase::Running(_));
        if is_running || self.is_loaded() && self.answer.with_untracked(Option::is_some) {
            self.run();
        } else if phase == Phase::Done && !self.is_loaded() {
            // An example's answer is not that of the changed post.
            self.phase.set(phase.without_answer(false));
        }
    }

    /// Asks for the mentions in the text, unless they were asked for.
    pub(super) fn find_mentions(self) {
        if !self.is_loaded() {
            return;
        }
        let text = self.text.get_untracked();
        if self.request(|request| request.must_search(&text)) {
            self.send(&Request::Mentions { text }, None);
        }
    }

    pub(super) fn take_mentions(self, text: &str, mentions: &[Mention]) {
        if self.text.with_untracked(|now| now != text) {
            return;
        }
        self.request(|request| request.take_search(text));
        let found: Vec<Name> = mentions
            .iter()
            .filter_map(|mention| Name::new(*mention, text))
            .collect();
        self.chosen
            .update(|chosen| *chosen = Chosen::after_search(chosen.take(), &found));
        self.found.set(found);
        self.advance();
    }

    pub(super) fn show_stage(self, id: u32, stage: Stage) {
        let is_running = matches!(self.phase.get_untracked(), Phase::Running(_));
        if is_running && self.awaits(id) {
            self.phase.set(Phase::Running(Some(stage)));
        }
    }

    pub(super) fn take_ranking(self, id: u32, ranking: Ranking, ms: StageTimes) {
        if let Some(surface) = self.request(|request| request.take_answer(id)) {
            self.answer.set(Some(Answer {
                surface,
                ranking,
                ms: Some(ms),
                entities: Vec::new(),
            }));
            self.phase.set(Phase::Done);
        }
    }

    pub(super) fn awaits(self, id: u32) -> bool {
        self.request(|request| request.awaits(id))
    }

    fn send_link(self, text: String, name: Name) {
        let id = self.new_id();
        let pictures = self.pictures.with_untracked(|pictures| {
            let ready = pictures
                .iter()
                .filter(|picture| picture.state == PictureState::Ready);
            ready.map(|picture| picture.id).collect()
        });
        self.request(|request| request.send(id, name.surface));
        let link = Request::Link {
            id,
            text,
            mention: name.mention,
            pictures,
        };
        self.send(&link, None);
    }
}
