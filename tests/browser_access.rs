//! The built page for everyone: no violation that axe finds in any state, and the keyboard alone suffices.

use std::fs;

use shared_model::data::Mention;
use tests::chromium::Browser;
use tests::page::{Page, folder, knowledge_base};
use xtask::serve::Server;

/// Fails if axe finds a violation of WCAG 2.2 AA, in light and in dark.
#[track_caller]
fn check(page: &Page, state: &str) {
    let script = std::env::var_os("IMN_AXE").expect(
        "the variable IMN_AXE is missing: run `cargo xtask test`, which installs axe and sets it",
    );
    let script = fs::read_to_string(script).expect("axe's script");
    for dark in [false, true] {
        page.tab().look(768, dark);
        page.tab().evaluate(&format!("{script}; 0"));
        let found = page.tab().evaluate(
            "axe.run({ runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa'] })
                .then(({ violations }) => violations.map(({ id, nodes }) =>
                    `${id}: ${nodes.map(node => node.html + ' ' + node.any.map(check => check.message)).join(' | ')}`))",
        );
        let found: Vec<String> = serde_json::from_value(found).expect("texts");
        assert!(found.is_empty(), "{state}, dark: {dark}: {found:#?}");
    }
}

#[test]
fn axe_finds_no_violation_in_any_state() {
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    page.wait("the examples", |page| {
        let n = "document.querySelectorAll('[data-testid=example]').length > 5";
        (page.tab().evaluate(n) == true).then_some(())
    });
    check(&page, "at the start");
    page.tab()
        .evaluate("document.querySelector('[data-testid=example]').click()");
    page.wait_for_states(&["done"]);
    check(&page, "an example");
    page.tab()
        .evaluate("document.querySelector('[data-testid=start-lesson]').click()");
    page.wait_for_words("Lesson, case 1");
    check(&page, "the lesson");
    page.tab()
        .evaluate("document.querySelector('[data-testid=end-lesson]').click()");
    let picture = knowledge_base().join("images/test-china-porcelain.jpg");
    page.link(
        "China. Isn't it beautiful?",
        Mention { start: 0, end: 5 },
        &[picture],
    );
    page.tab()
        .evaluate("document.querySelectorAll('details').forEach(part => part.open = true)");
    page.tab()
        .evaluate("document.querySelector('[data-testid=explain]').click()");
    page.wait("the heat map", |page| {
        let n = "document.querySelectorAll('[data-testid=heat] [data-effect]').length === 49";
        (page.tab().evaluate(n) == true).then_some(())
    });
    check(&page, "an answer with all its parts unfolded");
    page.write("nothing known here");
    page.start();
    page.wait_for_words("No known name is in this text.");
    check(&page, "nothing to link");
}

#[test]
fn the_keyboard_alone_gets_an_answer() {
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    page.load();
    let focused = |page: &Page| {
        let shown = page
            .tab()
            .evaluate("document.activeElement?.dataset.testid ?? ''");
        shown.as_str().unwrap_or_default().to_owned()
    };
    let tab_to = |page: &Page, wanted: &str| {
        for _ in 0..60 {
            if focused(page) == wanted {
                return;
            }
            page.tab().press("Tab", 9, "");
        }
        panic!("the Tab key does not reach {wanted:?}");
    };
    tab_to(&page, "post-text");
    page.tab()
        .insert_text("The python at the zoo hid from the jaguar");
    page.wait("the names", |page| {
        let n = "document.querySelectorAll('[data-testid=mention]').length > 1";
        (page.tab().evaluate(n) == true).then_some(())
    });
    tab_to(&page, "mention");
    tab_to(&page, "image-input");
    tab_to(&page, "run");
    page.start_with("0");
    page.tab().press("Enter", 13, "\r");
    assert_eq!(page.finish(), "done");
    tab_to(&page, "explain");
    page.tab().press("Enter", 13, "\r");
    page.wait_for_words("Words that mattered most");
}
