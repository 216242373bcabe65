//! What a visitor or a damaged download can do to the page: a plain sentence, and the page stays usable.

use std::fs;

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use shared_model::data::Mention;
use shared_model::manifest::{MANIFEST, Manifest};
use tests::chromium::Browser;
use tests::page::{Page, folder};
use tests::site::{Copy, Site};
use tests::{Dir, picture};
use xtask::serve::Server;

const TEXT: &str = "A cat never lets me down.";
const CAT: Mention = Mention { start: 2, end: 5 };

fn open<'browser>(browser: &'browser Browser, server: &Server) -> Page<'browser> {
    Page::open(browser, &format!("{}?device=cpu", server.address()))
}

/// A good post still gets its answer.
#[track_caller]
fn check_usable(page: &Page) {
    assert!(page.link(TEXT, CAT, &[]).len() >= 2);
}

#[test]
fn pictures_that_are_none_are_refused_by_name() {
    let files = Dir::new();
    let jpeg = files.path("whole.jpg");
    picture([300, 200, 1]).save(&jpeg).expect("a picture");
    let bytes = fs::read(jpeg).expect("a picture");
    let huge = files.path("huge.png");
    RgbImage::from_pixel(10_000, 7_000, Rgb([90, 120, 60]))
        .save(&huge)
        .expect("a picture");
    let bad = [
        files.create("truncated.jpg", &bytes[..bytes.len() / 2]),
        files.create("text.jpg", "This is no picture."),
        files.create("empty.jpg", ""),
        huge,
    ];

    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let page = open(&browser, &server);
    page.load();
    for file in bad {
        let name = file
            .file_name()
            .expect("a name")
            .to_string_lossy()
            .into_owned();
        page.give_pictures(&[file]);
        println!("{}", page.wait_for_error(&name));
    }
    check_usable(&page);
}

#[test]
fn texts_that_cannot_be_linked_are_explained() {
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let page = open(&browser, &server);

    page.click("run");
    page.wait_for_words("Write a post first");
    page.load();
    page.click("run");
    page.wait_for_words("Write a post first");
    assert_eq!(page.errors(), [""; 0]);

    page.write(
        &format!("A cat {}", "and more. ".repeat(10_000))
            .chars()
            .take(100_000)
            .collect::<String>(),
    );
    assert_eq!(page.run(), "error");
    page.wait_for_error("100000 characters");

    page.write("Nothing here has a known name.");
    page.click("run");
    page.wait_for_words("No known name is in this text");
    assert_eq!(page.errors(), [""; 0]);

    check_usable(&page);
}

#[test]
fn an_unknown_name_is_an_answer() {
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let page = open(&browser, &server);
    page.load();
    page.write("Saw Zzyzxq again.");
    page.select(4, 10);
    assert_eq!(page.run(), "done");
    page.wait_for_words("The knowledge base has nothing called “Zzyzxq”");
    assert_eq!(page.errors(), [""; 0]);
    assert!(page.candidates().is_empty());
    check_usable(&page);
}

/// A copy of the page whose bundles can be damaged.
struct Copies {
    site: Site,
    server: Server,
    browser: Browser,
}

impl Copies {
    fn new() -> Self {
        let site = Site::new();
        Self {
            server: Server::start(&site.files.root, 0).expect("a server"),
            browser: Browser::launch(),
            site,
        }
    }

    /// Opens the page with a bundle, with nothing kept from before.
    fn open(&self, bundle: &str) -> Page<'_> {
        let address = self.server.address();
        let all = json!({ "origin": address.trim_end_matches('/'), "storageTypes": "all" });
        self.browser.tab().call("Storage.clearDataForOrigin", all);
        Page::open(
            &self.browser,
            &format!("{address}?device=cpu&bundle={bundle}/"),
        )
    }

    /// Damages a bundle; loading it must name the file. Mended, it must load.
    #[track_caller]
    fn check(&self, name: &str, file: &str, said: &[&str], damage: impl FnOnce(&Copy)) {
        let copy = self.site.bundle(name);
        damage(&copy);
        let page = self.open(name);
        page.click("load");
        let error = page.wait_for_error(file);
        println!("{name}: {error}");
        assert!(
            said.iter().all(|said| error.contains(said)),
            "{error:?} does not say {said:?}"
        );
        assert_eq!(page.state(), "error");

        fs::remove_dir_all(&copy.root).expect("the copy");
        let copy = self.site.bundle(name);
        page.click("retry");
        check_usable(&page);
        fs::remove_dir_all(&copy.root).expect("the copy");
    }
}

#[test]
fn a_flipped_byte_is_found_in_every_kind_of_file() {
    let copies = Copies::new();
    let manifest =
        Manifest::parse(&copies.site.bundle("whole").read(MANIFEST)).expect("a manifest");
    let of_kind = |kind: &str| {
        manifest
            .files
            .iter()
            .map(|file| file.path.as_str())
            .find(|path| path.contains(kind))
    };
    for kind in [
        "text.bpk",
        "vision.bpk",
        "classes.bpk",
        "kb.bpk",
        "golden.bpk",
        "kb.json",
        "tokenizer.json",
        "thumbs/",
    ] {
        let file = of_kind(kind).unwrap_or_else(|| panic!("the bundle has no {kind}"));
        let name = kind.replace(['.', '/'], "-");
        copies.check(&name, file, &["altered"], |copy| copy.flip(file));
    }
    copies.check("manifest", MANIFEST, &[], |copy| copy.flip(MANIFEST));
}

#[test]
fn a_missing_part_is_named() {
    Copies::new().check("missing", "vision.bpk", &["missing"], |copy| {
        fs::remove_file(copy.root.join("vision.bpk")).expect("a link")
    });
}

#[test]
fn a_bundle_of_the_future_is_refused() {
    Copies::new().check("newer", MANIFEST, &["newer"], |copy| {
        copy.change_manifest(|manifest| manifest.format += 1)
    });
}

#[test]
fn a_part_of_another_shape_is_refused() {
    Copies::new().check("shape", "text.bpk", &[], |copy| {
        copy.change_manifest(|manifest| {
            manifest.models.text.d_model += manifest.models.text.n_heads
        });
    });
}

#[test]
fn what_a_bundle_says_is_shown_as_text() {
    const HTML: &str = "<img src=x onerror=\"document.title='broken in'\"><b>bold</b>";
    let copies = Copies::new();
    let copy = copies.site.bundle("html");
    let mut kb: Value = serde_json::from_slice(&copy.read("kb.json")).expect("JSON");
    for entity in kb["entities"].as_array_mut().expect("entities") {
        entity["description"] = HTML.into();
    }
    for post in kb["posts"].as_array_mut().expect("posts") {
        post["text"] = HTML.into();
    }
    copy.replace("kb.json", &serde_json::to_vec(&kb).expect("JSON"));

    let page = copies.open("html");
    check_usable(&page);
    page.wait_for_words(HTML);
    assert_ne!(page.tab().evaluate("document.title"), "broken in");
}

#[test]
fn file_names_may_hold_any_mark() {
    const NAMES: [&str; 3] = ["a cat #1.jpg", "which?.jpg", "100%25 cotton &c.jpg"];
    let copies = Copies::new();
    let copy = copies.site.bundle("names");
    let text = |file: &str| String::from_utf8(copy.read(file)).expect("a text");
    let (mut kb, mut examples) = (text("kb.json"), text("examples.json"));
    let manifest = Manifest::parse(&copy.read(MANIFEST)).expect("a manifest");
    for folder in ["thumbs/", "examples/"] {
        let old = manifest.files.iter().map(|file| &file.path);
        let old = old.filter(|path| path.starts_with(folder));
        for (old, name) in old.zip(NAMES) {
            let new = format!("{folder}{name}");
            fs::rename(copy.root.join(old), copy.root.join(&new)).expect("a link");
            kb = kb.replace(old, &new);
            examples = examples.replace(old, &new);
            copy.change_manifest(|manifest| {
                let entry = manifest.files.iter_mut().find(|file| file.path == *old);
                entry.expect("an entry").path = new;
            });
        }
    }
    copy.replace("kb.json", kb.as_bytes());
    copy.replace("examples.json", examples.as_bytes());

    let page = copies.open("names");
    // A chip's picture comes straight from the server, the knowledge base's pictures through the worker.
    let shown = "const images = [...document.querySelectorAll('.examples img')]";
    for name in NAMES {
        page.wait(&format!("the picture {name}"), |page| {
            let script = format!(
                "(() => {{ {shown}; return images.some(image => decodeURIComponent(image.src).endsWith({}) && image.naturalWidth > 0); }})()",
                json!(name)
            );
            (page.tab().evaluate(&script) == true).then_some(())
        });
    }
    page.load();
    for (example, name) in NAMES.iter().enumerate() {
        let chip = format!(
            "(() => {{ {shown}; images.find(image => decodeURIComponent(image.src).endsWith({})).closest('button').click(); }})()",
            json!(name)
        );
        page.tab().evaluate(&chip);
        page.wait(&format!("the post's picture, example {example}"), |page| {
            let script = format!(
                "document.querySelector('[data-testid=picture] img')?.alt === {}",
                json!(name)
            );
            (page.tab().evaluate(&script) == true).then_some(())
        });
        page.settle();
        assert_eq!(page.errors(), [""; 0]);
    }
}
