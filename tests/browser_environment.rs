//! The built page in browsers that lack something: storage, a secure connection, a graphics processor that answers.

use shared_model::data::Mention;
use shared_model::hash::sha256;
use tests::chromium::Browser;
use tests::page::{Page, knowledge_base};
use tests::site::Site;
use xtask::serve::Server;

const TEXT: &str = "A cat never lets me down.";
const CAT: Mention = Mention { start: 2, end: 5 };

/// Links a post on a page that keeps no downloads: the page works, with one notice.
#[track_caller]
fn check_in_memory(page: &Page, reason: &str) {
    const SAID: &str = "Downloads cannot be kept here";
    page.wait_for_words(SAID);
    assert!(page.link(TEXT, CAT, &[]).len() >= 2);
    page.wait_for_words(reason);
    let shown = page.shown();
    assert_eq!(shown.matches(SAID).count(), 1, "{shown}");
    assert!(!shown.contains("graphics processor"), "{shown}");
}

#[test]
fn without_https_the_page_works_in_memory() {
    // No name but `localhost` is a secure origin without https.
    let browser = Browser::launch_with(&["--host-resolver-rules=MAP * 127.0.0.1"]);
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    for host in ["192.168.178.20", "photos.lan", "server.example.org"] {
        let address = server.address().replace("127.0.0.1", host);
        let page = Page::open(&browser, &address);
        assert_eq!(page.tab().evaluate("isSecureContext"), false, "{host}");
        assert_eq!(page.tab().evaluate("typeof caches"), "undefined", "{host}");
        check_in_memory(&page, "this page was not opened over https");
        assert_eq!(page.device().as_deref(), Some("cpu"), "{host}");
        page.wait_for_words("WebGPU is not used: browsers offer it over https only");
    }
}

#[test]
fn without_a_network_the_next_visit_works_and_tells_of_no_error() {
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let address = format!("{}?device=cpu", server.address());
    let page = Page::open(&browser, &address);
    page.load();
    let is_kept =
        "navigator.serviceWorker.ready.then(registration => registration.active !== null)";
    assert_eq!(page.tab().evaluate(is_kept), true);
    drop((page, server));

    let page = Page::open(&browser, &address);
    page.wait("the example", |page| {
        let click = "document.querySelector('[data-testid=example]')?.click() === undefined";
        let is_there = "document.querySelectorAll('[data-testid=example]').length > 5";
        (page.tab().evaluate(is_there) == true && page.tab().evaluate(click) == true).then_some(())
    });
    page.wait_for_states(&["done"]);
    assert!(page.link(TEXT, CAT, &[]).len() >= 2);
    assert_eq!(page.errors(), [""; 0]);
}

#[test]
fn a_new_version_waits_until_the_visitor_wants_it() {
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &server.address());
    let controlled = "navigator.serviceWorker.ready.then(() => true)";
    assert_eq!(page.tab().evaluate(controlled), true);
    // Another build: a changed style and its hash.
    let hash = |site: &Site| sha256(&site.files.read("page.css"));
    let old = hash(&site);
    site.files.prepend("page.css", ":root { --build: new; }");
    let script = "service-worker.js";
    site.files.change(script, &old, &hash(&site));
    site.files
        .change(script, "VERSION = \"", "VERSION = \"another-");
    let page = Page::open(&browser, &server.address());
    page.wait_for_words("There is a new version of this page.");
    // Nothing is fetched by that: a service worker that is asked for files does not give way to the next.
    // While the page is loaded anew, its document is empty for a moment.
    let is_new = "document.documentElement !== null && \
        getComputedStyle(document.documentElement).getPropertyValue('--build').trim() === 'new'";
    assert_eq!(page.tab().evaluate(is_new), false);
    page.tab()
        .evaluate("document.querySelector('.update button').click()");
    page.wait("the new version", |page| {
        (page.tab().evaluate(is_new) == true).then_some(())
    });
}

#[test]
fn once_the_model_is_loaded_nothing_is_asked_for() {
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    page.load();
    let is_kept = "navigator.serviceWorker.ready.then(({ active }) => new Promise(resolve => {
        const look = () => active.state === 'activated' ? resolve(true) : setTimeout(look, 50);
        look();
    }))";
    assert_eq!(page.tab().evaluate(is_kept), true);
    let asked = server.requests();
    let picture = knowledge_base().join("images/cat-animal-1.jpg");
    assert!(page.link(TEXT, CAT, &[picture]).len() >= 2);
    page.click("explain");
    page.wait_for_words("Words that mattered most");
    assert_eq!(server.requests(), asked);
}

#[test]
fn a_tab_that_died_while_it_loaded_does_not_load_again_by_itself() {
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let visit = |n: u32| format!("{}?device=cpu&visit={n}", server.address());
    let page = Page::open(&browser, &visit(1));
    page.load();
    page.tab().open(&visit(2));
    page.wait_for_states(&["loading"]);
    // A tab that dies takes no mark away, whatever it would have done next.
    page.tab()
        .evaluate("(Storage.prototype.removeItem = () => {}, true)");
    page.tab().open(&visit(3));
    page.wait_for_words("The browser ended this page while the model was being loaded");
    assert_eq!(page.state(), "idle");
    // The visitor may.
    page.load();
    page.tab().open(&visit(4));
    page.wait_for_states(&["ready"]);
}

#[test]
fn no_script_reaches_another_site() {
    let site = Site::new();
    let elsewhere = Server::start(&site.files.root, 0).expect("another server");
    let address = elsewhere.address();
    site.prepend_everywhere(&format!(
        "fetch('{address}index.html', {{ mode: 'no-cors' }}).catch(() => {{}});"
    ));
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    for device in ["cpu", "webgpu"] {
        let page = Page::open(&browser, &format!("{}?device={device}", server.address()));
        page.load();
    }
    assert_eq!(elsewhere.requests(), 0);
}

#[test]
fn what_is_kept_is_listed_and_can_be_deleted() {
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
    page.load();
    page.unfold("stored");
    let can_delete = "document.querySelector('[data-testid=clear-cache]')?.disabled === false";
    page.wait("the model in the list", |page| {
        (page.tab().evaluate(can_delete) == true).then_some(())
    });
    page.screenshots("stored");
    page.click("clear-cache");
    page.wait("the model to go", |page| {
        (page.tab().evaluate(can_delete) == false).then_some(())
    });
    let names =
        "caches.keys().then(names => names.filter(name => name.startsWith('imn-bundle-')).length)";
    assert_eq!(page.tab().evaluate(names), 0);
}

/// Statements that break one call of the browser's storage.
const BROKEN_STORAGE: [(&str, &str); 6] = [
    (
        "for (let scope = globalThis; scope; scope = Object.getPrototypeOf(scope)) Reflect.deleteProperty(scope, 'caches');",
        "this browser offers no storage",
    ),
    (
        "Object.defineProperty(globalThis, 'caches', { get() { throw new DOMException('It is blocked', 'SecurityError'); } });",
        "It is blocked",
    ),
    (
        "CacheStorage.prototype.open = () => { throw new TypeError('No disk'); };",
        "No disk",
    ),
    (
        "CacheStorage.prototype.open = () => Promise.reject(new TypeError('No disk today'));",
        "No disk today",
    ),
    (
        "Cache.prototype.match = () => { throw new TypeError('No index'); };",
        "No index",
    ),
    (
        "Cache.prototype.put = () => Promise.reject(new DOMException('Too much', 'QuotaExceededError'));",
        "the browser's storage is full",
    ),
];

#[test]
fn broken_storage_costs_the_cache_only() {
    for (script, reason) in BROKEN_STORAGE {
        let site = Site::new();
        site.prepend_everywhere(script);
        let server = Server::start(&site.files.root, 0).expect("a server");
        let browser = Browser::launch();
        let page = Page::open(&browser, &format!("{}?device=cpu", server.address()));
        println!("{script}");
        page.load();
        check_in_memory(&page, reason);
    }
}

/// Makes the simulated adapter look like a card: a simulated one is not used unless it is asked for.
const CARD: &str = "
    Object.defineProperty(GPUAdapterInfo.prototype, 'description', { get: () => 'A card' });
    Object.defineProperty(GPUAdapterInfo.prototype, 'architecture', { get: () => '' });
    Object.defineProperty(GPUAdapterInfo.prototype, 'isFallbackAdapter', { get: () => false });";

/// Opens the page that first runs `script`, as its workers do, and links a post: on the CPU, once the graphics processor is given up.
#[track_caller]
fn check_given_up(query: &str, script: &str, said: &str) {
    let site = Site::new();
    site.prepend_everywhere(script);
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &format!("{}{query}", server.address()));
    println!("{script}");
    page.load();
    page.write(TEXT);
    page.choose(CAT);
    assert_eq!(page.run(), "done", "{:?}", page.errors());
    assert!(page.candidates().len() >= 2);
    assert_eq!(page.errors(), [""; 0]);
    assert_eq!(page.device().as_deref(), Some("cpu"));
    page.wait_for_words(said);
}

#[test]
fn every_device_is_tested_and_timed() {
    let site = Site::new();
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &server.address());
    page.unfold("self-test");
    page.click("test-devices");
    let rows = page.wait("both devices", |page| {
        let rows = "[...document.querySelectorAll('[data-testid=tested] tbody tr')].map(row => row.innerText)";
        let rows: Vec<String> = serde_json::from_value(page.tab().evaluate(rows)).ok()?;
        (!rows.is_empty()).then_some(rows)
    });
    page.screenshots("self-test");
    assert_eq!(rows.len(), 2, "{rows:?}");
    for (row, device) in rows.iter().zip(["CPU", "WebGPU"]) {
        assert!(
            row.starts_with(device) && row.ends_with("agrees"),
            "{rows:?}"
        );
    }
}

#[test]
fn without_the_program_for_webgpu_the_other_one_runs() {
    let site = Site::new();
    site.prepend_everywhere(CARD);
    std::fs::remove_file(site.files.root.join("worker_webgpu.js")).expect("a link");
    let server = Server::start(&site.files.root, 0).expect("a server");
    let browser = Browser::launch();
    let page = Page::open(&browser, &server.address());
    assert!(page.link(TEXT, CAT, &[]).len() >= 2);
    assert_eq!(page.device().as_deref(), Some("cpu"));
    page.wait_for_words("WebGPU is not used: its program could not be started");
    page.unfold("self-test");
    page.click("test-devices");
    page.wait_for_words("agrees");
    page.wait_for_words("not used: its program could not be started or stopped");
}

#[test]
fn a_device_that_is_slower_than_the_cpu_is_not_used() {
    let said = "WebGPU is not used: a picture takes";
    check_given_up("", CARD, said);
}

/// What the footer says of a device that never was ready.
const NEVER_READY: &str =
    "WebGPU is not used: the graphics processor did not answer for 15 seconds";

#[test]
fn an_adapter_that_never_comes_is_given_up() {
    let script = "GPU.prototype.requestAdapter = () => new Promise(() => {});";
    let said = "WebGPU is not used: the graphics processor did not answer for 5 seconds";
    check_given_up("", script, said);
}

#[test]
fn a_device_that_never_comes_is_given_up() {
    let script = "GPUAdapter.prototype.requestDevice = () => new Promise(() => {});";
    check_given_up("", &format!("{CARD}\n{script}"), NEVER_READY);
}

#[test]
fn results_that_never_come_are_given_up() {
    let script = "GPUBuffer.prototype.mapAsync = () => new Promise(() => {});";
    check_given_up("", &format!("{CARD}\n{script}"), NEVER_READY);
}

#[test]
fn a_device_that_stops_answering_is_replaced_by_the_cpu() {
    check_given_up(
        "?device=webgpu",
        "const map = GPUBuffer.prototype.mapAsync;
        let isStuck = false;
        addEventListener('message', ({ data: [request] }) => isStuck ||= Boolean(request.Link));
        GPUBuffer.prototype.mapAsync = function (...mode) {
            return isStuck ? new Promise(() => {}) : map.apply(this, mode);
        };",
        "The graphics processor stopped answering, so the model now runs on the CPU",
    );
}
