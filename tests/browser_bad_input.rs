//! What a visitor or a damaged download can do to the page: a plain sentence, and the page stays usable.

use std::fs;
use std::path::{Path, PathBuf};

use image::{Rgb, RgbImage};
use serde_json::{Value, json};
use shared_model::data::Mention;
use shared_model::hash::sha256;
use shared_model::manifest::{MANIFEST, Manifest};
use tests::chromium::Browser;
use tests::page::{Page, folder};
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
    RgbImage::from_pixel(10_000, 5_000, Rgb([90, 120, 60]))
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

    page.write("Nothing here has a name that anybody bears.");
    page.click("run");
    page.wait_for_words("No known name is in this text");
    assert_eq!(page.errors(), [""; 0]);

    check_usable(&page);
}

#[test]
fn a_name_that_nobody_bears_is_an_answer() {
    let server = Server::start(&folder(), 0).expect("a server");
    let browser = Browser::launch();
    let page = open(&browser, &server);
    page.load();
    page.write("Saw Zzyzxq again.");
    page.select(4, 10);
    assert_eq!(page.run(), "done");
    page.wait_for_words("Nobody in this knowledge base is called “Zzyzxq”");
    assert_eq!(page.errors(), [""; 0]);
    assert!(page.candidates().is_empty());
    check_usable(&page);
}

/// Copies of the page whose bundle can be damaged.
struct Copies {
    dir: Dir,
    server: Server,
    browser: Browser,
}

impl Copies {
    fn new() -> Self {
        // Below the target folder, so that links to the page's files are possible.
        let dir = Dir::new_in(Path::new(env!("CARGO_TARGET_TMPDIR")));
        link_folder(&folder(), dir.root());
        Self {
            server: Server::start(dir.root(), 0).expect("a server"),
            browser: Browser::launch(),
            dir,
        }
    }

    /// Makes a bundle of its own below `name`.
    fn bundle(&self, name: &str) -> Copy {
        let root = self.dir.path(name);
        link_folder(&folder().join("demo"), &root);
        Copy { root }
    }

    /// Opens the page with that bundle, with nothing kept from before.
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
        let copy = self.bundle(name);
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
        link_folder(&folder().join("demo"), &copy.root);
        page.click("retry");
        check_usable(&page);
        fs::remove_dir_all(&copy.root).expect("the copy");
    }
}

/// A bundle of hard links.
struct Copy {
    root: PathBuf,
}

impl Copy {
    fn read(&self, file: &str) -> Vec<u8> {
        fs::read(self.root.join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
    }

    /// Replaces a file; the one that it is a link of stays as it is.
    fn write(&self, file: &str, bytes: &[u8]) {
        fs::remove_file(self.root.join(file)).expect("a link");
        fs::write(self.root.join(file), bytes).expect("a file");
    }

    fn flip(&self, file: &str) {
        let mut bytes = self.read(file);
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        self.write(file, &bytes);
    }

    /// Changes the manifest and signs it anew.
    fn change_manifest(&self, change: impl FnOnce(&mut Manifest)) {
        let mut manifest = Manifest::parse(&self.read(MANIFEST)).expect("a manifest");
        change(&mut manifest);
        self.write(MANIFEST, &manifest.to_bytes());
    }
}

/// Links all files of a folder into another; copies them where the disk cannot.
fn link_folder(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("a folder");
    for entry in fs::read_dir(from).unwrap_or_else(|error| panic!("{from:?}: {error}")) {
        let from = entry.expect("an entry").path();
        let to = to.join(from.file_name().expect("a name"));
        if from.is_dir() {
            link_folder(&from, &to);
        } else if fs::hard_link(&from, &to).is_err() {
            fs::copy(&from, &to).expect("a copy");
        }
    }
}

#[test]
fn a_flipped_byte_is_found_in_every_kind_of_file() {
    let copies = Copies::new();
    let manifest = Manifest::parse(&copies.bundle("whole").read(MANIFEST)).expect("a manifest");
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
    let copy = copies.bundle("html");
    let mut kb: Value = serde_json::from_slice(&copy.read("kb.json")).expect("JSON");
    for entity in kb["entities"].as_array_mut().expect("entities") {
        entity["description"] = HTML.into();
    }
    for post in kb["posts"].as_array_mut().expect("posts") {
        post["text"] = HTML.into();
    }
    let bytes = serde_json::to_vec(&kb).expect("JSON");
    copy.write("kb.json", &bytes);
    copy.change_manifest(|manifest| {
        let entry = manifest
            .files
            .iter_mut()
            .find(|file| file.path == "kb.json")
            .expect("an entry");
        entry.bytes = bytes.len() as u64;
        entry.sha256 = sha256(&bytes);
    });

    let page = copies.open("html");
    check_usable(&page);
    page.wait_for_words(HTML);
    assert_ne!(page.tab().evaluate("document.title"), "broken in");
}
