//! The link: from the button to the answer.

use leptos::prelude::*;
use shared_model::data::Mention;
use web::link_request::{LinkRequest, Step};
use web::phase::Phase;
use web::post::{Chosen, Name, PictureState};
use web::protocol::{
    Answer, Choice, Conditions, Effects, Meaning, Question, Request, Stage, StageTimes,
};

use super::Client;
use crate::state::Answered;

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

    pub(super) fn take_answer(self, id: u32, answer: Answer, ms: StageTimes) {
        if let Some(surface) = self.request(|request| request.take_answer(id)) {
            let pictures = self.pictures.with_untracked(|pictures| {
                let used = pictures.iter().filter(|picture| picture.is_used());
                used.map(|picture| picture.address.clone()).collect()
            });
            self.show_answer(surface, pictures, answer, Some(ms));
            self.phase.set(Phase::Done);
        }
    }

    /// Shows an answer to the post as it is.
    pub(super) fn show_answer(
        self,
        surface: String,
        pictures: Vec<String>,
        mut answer: Answer,
        ms: Option<StageTimes>,
    ) {
        self.explaining.set(None);
        self.effects.set(answer.effects.take());
        self.answer.set(Some(Answered {
            surface,
            text: self.text.get_untracked(),
            pictures,
            answer,
            ms,
        }));
    }

    /// Asks what in the post decided between the first two candidates of the latest answer.
    pub(crate) fn explain(self) {
        let candidates = self.answer.with_untracked(|answered| {
            let ranked = &answered.as_ref()?.answer.ranking.candidates;
            Some(
                ranked
                    .iter()
                    .take(2)
                    .map(|candidate| candidate.entity.clone())
                    .collect(),
            )
        });
        let (Some(candidates), Some(question)) = (candidates, self.question()) else {
            return;
        };
        let id = self.new_id();
        self.inner.update_value(|inner| inner.explaining = id);
        self.explaining.set(Some(0));
        let explain = Request::Explain {
            id,
            question,
            candidates,
        };
        self.send(&explain, None);
    }

    /// Asks what each of the names that were found means.
    pub(crate) fn link_all(self) {
        let Some(question) = self.question() else {
            return;
        };
        let mentions = self
            .found
            .with_untracked(|found| found.iter().map(|name| name.mention).collect());
        self.send(&Request::LinkAll { question, mentions }, None);
    }

    pub(super) fn take_meanings(self, text: &str, meanings: Vec<Meaning>) {
        if self.text.with_untracked(|now| now == text) {
            self.meanings.set(meanings);
        }
    }

    pub(super) fn take_explanation(self, id: u32, done: usize, effects: Option<Effects>) {
        let is_awaited = self.inner.with_value(|inner| inner.explaining == id);
        if is_awaited && self.explaining.get_untracked().is_some() {
            self.explaining.set(effects.is_none().then_some(done));
            self.effects.set(effects);
        }
    }

    /// Ranks under other conditions.
    pub(crate) fn set_conditions(self, change: impl FnOnce(&mut Conditions)) {
        self.meanings.set(Vec::new());
        self.conditions.update(change);
        self.link_again();
    }

    /// Chooses the prototypes in another way.
    pub(crate) fn choose_prototypes(self, prototypes: Choice) {
        self.meanings.set(Vec::new());
        self.prototypes.set(Some(prototypes));
        self.send(&Request::Choose { prototypes }, None);
        self.link_again();
    }

    pub(super) fn awaits(self, id: u32) -> bool {
        self.request(|request| request.awaits(id))
    }

    fn send_link(self, text: String, name: Name) {
        let id = self.new_id();
        self.explaining.set(None);
        self.request(|request| request.send(id, name.surface));
        let question = self.ask(text, name.mention);
        self.send(&Request::Link { id, question }, None);
    }

    /// The question about the chosen mention of the post as it is.
    fn question(self) -> Option<Question> {
        let name = self.chosen.get_untracked()?.name;
        Some(self.ask(self.text.get_untracked(), name.mention))
    }

    fn ask(self, text: String, mention: Mention) -> Question {
        let pictures = self.pictures.with_untracked(|pictures| {
            let ready = pictures
                .iter()
                .filter(|picture| picture.state == PictureState::Ready);
            ready.map(|picture| picture.id).collect()
        });
        Question {
            text,
            mention,
            pictures,
            conditions: self.conditions.get_untracked(),
        }
    }
}
