//! The built page, used as a visitor would.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Deserialize;
use serde_json::json;
use shared_model::data::Mention;

use crate::chromium::{Browser, Tab};

/// The longest wait: WebGPU is simulated, and the cores are shared.
pub const PATIENCE: Duration = Duration::from_secs(300);

/// Finds an element by its test id.
const BY_TEST_ID: &str = "const by = id => document.querySelector(`[data-testid=${id}]`);
    const all = id => [...document.querySelectorAll(`[data-testid=${id}]`)];";

/// The folder of the built page.
pub fn folder() -> PathBuf {
    let folder = std::env::var_os("IMN_PAGE").expect("the variable IMN_PAGE is missing: run `cargo xtask test`, which builds the page and sets it");
    PathBuf::from(folder)
}

/// The dataset folder of the demo, as cargo says when it runs this: checkouts may share a target folder.
pub fn knowledge_base() -> PathBuf {
    let tests = std::env::var_os("CARGO_MANIFEST_DIR");
    let tests = tests.map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    tests.parent().expect("the repository").join("assets/kb")
}

/// A candidate as the page shows it.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Shown {
    /// The entity's id.
    pub entity: String,
    /// Higher is better.
    pub score: f32,
    /// Share of the softmax over all candidates.
    pub probability: f32,
}

/// The page in a tab.
pub struct Page<'browser> {
    tab: Tab<'browser>,
}

impl<'browser> Page<'browser> {
    /// Opens the page; the model is not loaded by that.
    #[track_caller]
    pub fn open(browser: &'browser Browser, address: &str) -> Self {
        let tab = browser.tab();
        tab.open(address);
        let page = Self { tab };
        page.wait("the page to stand", |page| {
            page.holds("!!by('status')").then_some(())
        });
        page
    }

    /// The tab.
    pub fn tab(&self) -> &Tab<'browser> {
        &self.tab
    }

    /// Waits until `probe` finds something.
    #[track_caller]
    pub fn wait<T>(&self, what: &str, mut probe: impl FnMut(&Self) -> Option<T>) -> T {
        self.tab.wait(what, PATIENCE, |_| probe(self))
    }

    /// Runs JavaScript that may use `by(test id)` and `all(test id)`.
    #[track_caller]
    fn evaluate(&self, script: &str) -> serde_json::Value {
        self.tab
            .evaluate(&format!("(() => {{ {BY_TEST_ID} return {script}; }})()"))
    }

    #[track_caller]
    fn holds(&self, condition: &str) -> bool {
        self.evaluate(condition) == true
    }

    #[track_caller]
    fn text(&self, script: &str) -> Option<String> {
        self.evaluate(script).as_str().map(str::to_owned)
    }

    /// Replaces the post's text.
    #[track_caller]
    pub fn write(&self, text: &str) {
        self.evaluate("by('post-text').focus(), by('post-text').select()");
        if text.is_empty() {
            self.tab.press("Backspace", 8, "");
        } else {
            self.tab.insert_text(text);
        }
        let length = text.encode_utf16().count();
        self.wait("the text to be written", |page| {
            page.holds(&format!("by('post-text').value.length === {length}"))
                .then_some(())
        });
    }

    /// Replaces the post's pictures.
    #[track_caller]
    pub fn give_pictures(&self, files: &[PathBuf]) {
        self.evaluate("all('picture').forEach(picture => picture.querySelector('button').click())");
        let count = |page: &Self, n: usize| {
            page.holds(&format!("all('picture').length === {n}"))
                .then_some(())
        };
        self.wait("the pictures to go", |page| count(page, 0));
        if !files.is_empty() {
            self.tab.give_files("[data-testid=image-input]", files);
            self.wait("the pictures to come", |page| count(page, files.len()));
        }
    }

    /// Waits until the model is loaded, loading it where it must be.
    #[track_caller]
    pub fn load(&self) {
        self.evaluate("by('load')?.click()");
        self.wait("the model to be loaded", |page| {
            let device = page.device();
            let errors = page.errors();
            assert!(device.is_some() || errors.is_empty(), "{errors:?}");
            device
        });
    }

    /// Picks one of the mentions that the page found.
    #[track_caller]
    pub fn choose(&self, Mention { start, end }: Mention) {
        let button = format!(
            "all('mention').find(mention => mention.dataset.start == {start} && mention.dataset.end == {end})"
        );
        self.wait("the mention to be found", |page| {
            page.holds(&format!("!!{button}")).then_some(())
        });
        self.evaluate(&format!(
            "{button}.ariaPressed === 'true' || {button}.click()"
        ));
        self.wait("the mention to be chosen", |page| {
            page.holds(&format!("{button}.ariaPressed === 'true'"))
                .then_some(())
        });
    }

    /// Selects words of the text, in UTF-16 units, and asks for them.
    #[track_caller]
    pub fn select(&self, start: usize, end: usize) {
        self.evaluate(&format!(
            "by('post-text').focus(), by('post-text').setSelectionRange({start}, {end})"
        ));
        self.wait("the button for a selection", |page| {
            page.holds("!by('link-selection').hidden").then_some(())
        });
        self.evaluate("by('link-selection').click()");
    }

    /// Presses the button, and waits until there is an answer or an error; says which.
    #[track_caller]
    pub fn run(&self) -> String {
        self.start();
        self.finish()
    }

    /// Presses the button.
    #[track_caller]
    pub fn start(&self) {
        self.start_with("by('run').click()");
    }

    /// Does what starts a run.
    #[track_caller]
    pub fn start_with(&self, action: &str) {
        // The old answer's `done` must not be taken for the new one's: the page keeps what it sees.
        self.tab.evaluate(&format!(
            "(() => {{ {BY_TEST_ID}
                const status = by('status');
                window.watch?.disconnect();
                window.seen = '';
                window.watch = new MutationObserver(() => window.seen = status.dataset.state);
                window.watch.observe(status, {{ attributes: true, attributeFilter: ['data-state'] }});
                {action};
            }})()"
        ));
    }

    /// Waits for the end of a started run; says how it ended.
    #[track_caller]
    pub fn finish(&self) -> String {
        self.wait("an answer", |page| {
            let seen = page.text("window.seen")?;
            matches!(seen.as_str(), "done" | "error").then_some(seen)
        })
    }

    /// Links a post and returns its candidates.
    #[track_caller]
    pub fn link(&self, text: &str, mention: Mention, pictures: &[PathBuf]) -> Vec<Shown> {
        self.load();
        self.write(text);
        self.give_pictures(pictures);
        self.choose(mention);
        assert_eq!(self.run(), "done", "{:?}", self.errors());
        assert_eq!(self.errors(), [""; 0]);
        self.candidates()
    }

    /// The candidates, best first.
    #[track_caller]
    pub fn candidates(&self) -> Vec<Shown> {
        let shown = self.evaluate(
            "all('candidate').map(({ dataset: { entity, score, probability } }) => (
                { entity, score: Number(score), probability: Number(probability) }))",
        );
        serde_json::from_value(shown).expect("numbers")
    }

    /// What went wrong, for a person.
    #[track_caller]
    pub fn errors(&self) -> Vec<String> {
        let shown = self.evaluate(
            "all('error').filter(error => error.checkVisibility()).map(error => error.innerText)",
        );
        serde_json::from_value(shown).expect("texts")
    }

    /// The one error that holds `said`.
    #[track_caller]
    pub fn wait_for_error(&self, said: &str) -> String {
        self.wait(&format!("an error that says {said:?}"), |page| {
            page.errors().into_iter().find(|error| error.contains(said))
        })
    }

    /// The state of the page; empty before it stands.
    #[track_caller]
    pub fn state(&self) -> String {
        self.text("by('status')?.dataset.state").unwrap_or_default()
    }

    /// Waits for one of some states.
    #[track_caller]
    pub fn wait_for_states(&self, states: &[&str]) {
        self.wait(&format!("one of the states {states:?}"), |page| {
            states.contains(&page.state().as_str()).then_some(())
        });
    }

    /// What the model runs on, once it does.
    #[track_caller]
    pub fn device(&self) -> Option<String> {
        self.text("by('device')?.dataset.device")
    }

    /// Everything that the page says.
    #[track_caller]
    pub fn shown(&self) -> String {
        self.text("document.body.innerText").expect("a text")
    }

    /// Waits until the page says something.
    #[track_caller]
    pub fn wait_for_words(&self, words: &str) {
        self.wait(&format!("the words {words:?}"), |page| {
            page.shown().contains(words).then_some(())
        });
    }

    /// Presses a button by its test id.
    #[track_caller]
    pub fn click(&self, test_id: &str) {
        self.evaluate(&format!("by({}).click()", json!(test_id)));
    }

    /// Opens a part of the page that is folded away.
    #[track_caller]
    pub fn unfold(&self, test_id: &str) {
        self.evaluate(&format!("by({}).open = true", json!(test_id)));
    }

    /// Waits for the answer that a changed picture brings by itself, after a first one.
    #[track_caller]
    pub fn settle(&self) {
        self.wait("a new answer", |page| {
            page.holds("!document.querySelector('.stale') && by('status').dataset.state === 'done'")
                .then_some(())
        });
    }

    /// Label and time of every step of the last answer.
    #[track_caller]
    pub fn times(&self) -> Vec<(String, String)> {
        let shown = self.evaluate("[...document.querySelectorAll('.times > div')].map(step => [...step.children].map(cell => cell.innerText))");
        serde_json::from_value(shown).expect("pairs of texts")
    }

    /// Writes a picture of the page for each width, light and dark, where the variable `IMN_SCREENSHOTS` names a folder.
    pub fn screenshots(&self, name: &str) {
        let Some(folder) = std::env::var_os("IMN_SCREENSHOTS") else {
            return;
        };
        let folder = Path::new(&folder);
        std::fs::create_dir_all(folder).expect("the folder for screenshots");
        for width in [360, 768, 1440] {
            for (dark, scheme) in [(false, "light"), (true, "dark")] {
                self.tab.look(width, dark);
                let file = folder.join(format!("{name}-{width}-{scheme}.png"));
                std::fs::write(&file, self.tab.screenshot()).expect("a screenshot");
            }
        }
    }
}
