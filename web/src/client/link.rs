//! The link: from the button to the answer.

use leptos::prelude::*;
use shared_model::data::Mention;
use web::link_request::{LinkRequest, Step};
use web::phase::Phase;
use web::post::{Chosen, Name, PictureState};
use web::protocol::{
    Answer, Choice, Conditions, Effects, Meaning, Question, Request, Stage, StageTimes,
};
use web::wording::progress::{SELECT_WORDS, WRITE_FIRST};

use super::Client;
use crate::state::Answered;

impl Client {
    /// Links the chosen mention, after loading the model where it must be.
    pub(crate) fn run(self) {
        self.error.set(None);
        self.hint.set(None);
        if self.text.with_untracked(|text| text.trim().is_empty()) {
            self.hint.set(Some(WRITE_FIRST));
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
                self.hint.set(Some(SELECT_WORDS));
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
            let question = self.inner.with_value(|inner| inner.asked.clone());
            self.show_answer(surface, pictures, answer, question.zip(Some(ms)));
            self.phase.set(Phase::Done);
        }
    }

    /// Shows an answer to the post as it is.
    pub(super) fn show_answer(
        self,
        surface: String,
        pictures: Vec<String>,
        mut answer: Answer,
        asked: Option<(Question, StageTimes)>,
    ) {
        let (question, ms) = asked.unzip();
        self.explaining.set(None);
        self.effects.set(answer.effects.take());
        self.answer.set(Some(Answered {
            surface,
            text: self.text.get_untracked(),
            pictures,
            answer,
            question,
            ms,
        }));
    }

    /// Asks what in the post decided between the first two candidates of the latest answer.
    pub(crate) fn explain(self) {
        let asked = self.answer.with_untracked(|answered| {
            let answered = answered.as_ref()?;
            let ranked = answered.answer.ranking.candidates.iter().take(2);
            let candidates = ranked.map(|candidate| candidate.entity.clone());
            Some((answered.question.clone()?, candidates.collect()))
        });
        let Some((question, candidates)) = asked else {
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
        let id = self.forget_meanings();
        let link_all = Request::LinkAll {
            id,
            question,
            mentions,
        };
        self.send(&link_all, None);
    }

    /// What the names mean is not known any more; an answer with another id than the new one does not count.
    pub(super) fn forget_meanings(self) -> u32 {
        self.meanings.set(Vec::new());
        let id = self.new_id();
        self.inner.update_value(|inner| inner.meanings = id);
        id
    }

    pub(super) fn take_meanings(self, id: u32, meanings: Vec<Meaning>) {
        if self.inner.with_value(|inner| inner.meanings == id) {
            self.meanings.set(meanings);
        }
    }

    pub(super) fn is_explaining(self, id: u32) -> bool {
        let is_latest = self.inner.with_value(|inner| inner.explaining == id);
        is_latest && self.explaining.get_untracked().is_some()
    }

    pub(super) fn show_explaining(self, id: u32, done: usize) {
        if self.is_explaining(id) {
            self.explaining.set(Some(done));
        }
    }

    pub(super) fn end_explanation(self, id: u32, effects: Option<Effects>) {
        if self.is_explaining(id) {
            self.explaining.set(None);
            self.effects.set(effects);
        }
    }

    /// Ranks under other conditions.
    pub(crate) fn set_conditions(self, change: impl FnOnce(&mut Conditions)) {
        self.forget_meanings();
        self.conditions.update(change);
        self.link_again();
    }

    /// Takes all conditions back.
    pub(crate) fn use_everything(self) {
        self.threshold.set(None);
        self.conditions.set(Conditions::default());
        self.cover(|picture| picture.covered.clear());
        let in_bundle = self
            .loaded
            .with_untracked(|loaded| Some(loaded.as_ref()?.prototypes));
        if let Some(prototypes) = in_bundle {
            self.choose_prototypes(prototypes);
        }
    }

    /// Chooses the prototypes in another way.
    pub(crate) fn choose_prototypes(self, prototypes: Choice) {
        self.forget_meanings();
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
        let asked = question.clone();
        self.inner.update_value(|inner| inner.asked = Some(asked));
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
