//! Device, model, and what the browser keeps.

/// The device's badge, facts about the model, the test of devices, what is kept.
pub mod about {
    use shared_model::self_test::SelfTest;

    pub const TRY_WEBGPU: &str = "Try WebGPU";
    pub const USE_CPU: &str = "Use the CPU";
    pub const ON_CPU: &str = "CPU · WebAssembly";
    pub const ON_SIMULATED: &str = "WebGPU (simulated)";

    pub const FROM_STORAGE: &str = "It came from this browser's storage";
    pub const MODEL: &str = "About this model";
    pub const PURPOSE: &str = "It ranks the people, places and things that share a name, by comparing your post with earlier posts about each. It is meant for showing and teaching how words and pictures resolve a name, not for identifying people or deciding about them.";
    pub const LIMIT_OF_KNOWLEDGE: &str = "It knows what is in its knowledge base. A post about something else often gets a known answer all the same.";
    pub const LIMIT_OF_LANGUAGE: &str =
        "It reads English best; other languages work as far as they share words with it.";
    pub const LIMIT_OF_PICTURES: &str = "Where the picture and the words contradict each other, the picture nearly always wins, with great confidence.";
    pub const LIMIT_OF_TRAINING: &str =
        "It has learned the associations of its training texts, stereotypes included.";
    pub const LICENCES: &str = "Licences and sources";
    pub const PART: &str = "Part";
    pub const LICENCE: &str = "Licence";
    pub const SOURCE: &str = "Source";

    pub const TEST: &str = "Test this device";
    pub const TEST_EXPLAINED: &str = "A post with a picture goes through the model on the CPU and, where there is one, on the graphics processor. The largest differences from what the exporting machine computed must stay below 0.005 for text and picture and 0.001 for the score.";
    pub const TESTING: &str = "Testing …";
    pub const RUN_TEST: &str = "Run the test";
    pub const RESULTS: &str = "Results of the test";
    pub const CPU: &str = "CPU";
    pub const WEBGPU: &str = "WebGPU";
    pub const AGREES: &str = "agrees";
    pub const DIFFERS: &str = "differs";
    /// Headings of the results.
    pub const COLUMNS: [&str; 8] = [
        "Device",
        "Text, difference",
        "Picture, difference",
        "Score, difference",
        "Preparing",
        "A text",
        "A picture",
        "Verdict",
    ];

    pub const KEPT: &str = "What this browser keeps";
    pub const KEPT_EXPLAINED: &str = "Everything stays in this browser. What is deleted here is downloaded again by the next visit that needs it; own entities are gone.";
    pub const THIS_PAGE: &str = "This page, for visits without a network";
    pub const THE_MODEL: &str = "The model";
    pub const OWN_ENTITIES: &str = "Your own entities";
    pub const WHAT: &str = "What";
    pub const SIZE: &str = "Size";
    pub const DELETE: &str = "Delete";

    pub fn on_webgpu(adapter: &str) -> String {
        format!("WebGPU · {adapter}")
    }

    pub fn downloaded(size: &str) -> String {
        format!("{size} of it were downloaded")
    }

    pub fn facts(name: &str, n_entities: usize, origin: &str, prepared_in: &str) -> String {
        format!(
            "{name}: {n_entities} people, places and things. {origin}, and preparing it took {prepared_in}."
        )
    }

    pub fn self_test(SelfTest { text, image, score }: &SelfTest) -> String {
        format!(
            "On this device its results differ from those of the machine that exported it by at most {text:.0e} (text), {image:.0e} (picture) and {score:.0e} (score)."
        )
    }

    pub fn test_failed(reason: &str) -> String {
        format!("The test did not end: {reason}")
    }

    pub fn tokens(n: usize) -> String {
        format!("{n} tokens")
    }

    pub fn not_used(reason: &str) -> String {
        format!("not used: {reason}")
    }

    pub fn delete(what: &str) -> String {
        format!("Delete: {what}")
    }

    pub fn refuses(reason: &str) -> String {
        format!("The browser refuses: {reason}.")
    }

    pub fn quota(size: &str) -> String {
        format!("This browser lets the page keep up to {size}.")
    }
}

/// The device that the model runs on: notices, and reasons against one.
pub mod device {
    use std::fmt::Display;

    pub const ONE_THREAD: &str = "WebAssembly, one thread";
    pub const UNNAMED: &str = "an unnamed adapter";
    pub const NOT_OFFERED: &str = "this browser does not offer it";
    pub const ONLY_OVER_HTTPS: &str = "browsers offer it over https only";
    pub const NO_ADAPTER: &str = "this browser offers no adapter";
    pub const NOT_STARTED: &str = "its program could not be started";
    pub const NOT_STARTED_OR_STOPPED: &str = "its program could not be started or stopped";
    pub const FELL_BACK: &str =
        "The graphics processor stopped answering, so the model now runs on the CPU.";

    pub fn no_adapter(error: impl Display) -> String {
        format!("this browser offers no adapter ({error})")
    }

    pub fn silent(seconds: u32) -> String {
        format!("the graphics processor did not answer for {seconds} seconds")
    }

    pub fn only_simulates(adapter: &str) -> String {
        format!("{adapter} only simulates a graphics card")
    }

    pub fn differs_from_cpu(largest: f32) -> String {
        format!("its self-test differs from the CPU by {largest:.1e}")
    }

    pub fn times(gpu: &str, cpu: &str) -> String {
        format!("a picture takes {gpu} there, {cpu} on the CPU")
    }

    pub fn used(reason: &str) -> String {
        format!("WebGPU is used: {reason}.")
    }

    pub fn not_used(reason: &str) -> String {
        format!("WebGPU is not used: {reason}.")
    }

    pub fn unusable(reason: &str) -> String {
        format!("WebGPU cannot be used: {reason}.")
    }

    pub fn differs(largest: f32) -> String {
        format!("The self-test differs from the exporting machine by {largest:.1e}.")
    }
}

/// The model's files and its program.
pub mod model {
    use std::fmt::Display;

    pub const DIED: &str = "The browser ended this page while the model was being loaded, probably for lack of memory. Close other tabs before you load it again; the examples work without it.";
    pub const NOT_LOADED: &str = "The model is not loaded yet.";
    pub const STOPPED: &str = "The model stopped unexpectedly.";
    pub const NOT_STARTED: &str = "The model's program could not be started.";

    pub const NO_REASON: &str = "no reason given";
    pub const NO_STORAGE: &str = "this browser offers no storage";
    pub const NOT_OVER_HTTPS: &str = "this page was not opened over https";
    pub const STORAGE_FULL: &str = "the browser's storage is full";
    pub const EMPTY: &str = "the answer is empty";
    pub const UNREADABLE: &str = "the answer cannot be read";
    pub const TOO_LONG: &str = "longer than the manifest says: altered";
    pub const NOT_IN_BUNDLE: &str = "the bundle does not name this file";

    pub fn panicked(info: impl Display) -> String {
        format!("The model stopped: {info}")
    }

    pub fn program_refused(error: &str) -> String {
        format!("This browser does not start the model's program. {error}")
    }

    pub fn not_downloaded(path: &str, error: impl Display) -> String {
        format!("{path} could not be downloaded: {error}")
    }

    pub fn missing(path: &str, status: u16) -> String {
        format!("{path} is missing from the bundle: the server answered {status}")
    }

    pub fn broke_off(error: &str) -> String {
        format!("the download broke off: {error}")
    }

    pub fn not_stored(error: &str) -> String {
        format!("the browser refuses to store them: {error}")
    }

    pub fn not_kept(reason: &str) -> String {
        format!(
            "Downloads cannot be kept here, so every visit downloads the model again: {reason}."
        )
    }
}
