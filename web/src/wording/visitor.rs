//! What visitors bring: own entities, and files of posts.

/// The visitor's own entities.
pub mod own {
    pub const TITLE: &str = "Somebody or something of your own";
    pub const INTRODUCTION: &str = "Your cat, your band, a colleague: give a name and a sentence, a few posts or a few pictures, and it competes with everything else of that name. It stays in this browser.";
    pub const NAME: &str = "Name";
    pub const ALIASES: &str = "Other names, separated by commas";
    pub const DESCRIPTION: &str = "What it is, in a sentence";
    pub const POSTS: &str = "Posts about it, one per line";
    pub const PICTURES: &str = "Pictures of it";
    pub const ADD: &str = "Add";
    pub const SAVE_ALL: &str = "Save all as a zip";
    pub const OPEN: &str = "Open a zip: ";
    pub const TAKE_OUT: &str = "Take out";

    pub const BY_DESCRIPTION: &str = "by its description alone";
    pub const READING: &str = "Reading.";
    pub const ADDED: &str = "Added, and kept in this browser.";
    pub const NOT_KEPT: &str =
        "Added. This browser keeps nothing here: save a zip before you leave the page.";
    pub const NEEDS_NAME: &str = "It needs a name.";
    pub const NEEDS_CONTENT: &str = "It needs a sentence, a post or a picture.";
    pub const MODEL_RESTARTED: &str = "The model was restarted: add it again.";

    pub fn take_out(name: &str) -> String {
        format!("Take {name} out")
    }

    pub fn posts(n: usize) -> String {
        format!("{n} posts")
    }

    pub fn posts_and_pictures(n_posts: usize, n_pictures: usize) -> String {
        format!("{n_posts} posts, {n_pictures} with a picture")
    }

    pub fn reading_post(number: usize, total: usize) -> String {
        format!("Reading post {number} of {total}.")
    }

    pub fn nothing_added(reason: &str) -> String {
        format!("Nothing was added. {reason}")
    }

    pub fn too_many(n: usize, limit: usize) -> String {
        format!("{n} posts and pictures are too many: {limit} at most. A zip may have more.")
    }

    pub fn picture_unreadable(error: &str) -> String {
        format!("A picture cannot be read: {error}.")
    }

    pub fn zip_unreadable(error: &str) -> String {
        format!("The zip cannot be read: {error}.")
    }

    pub fn kept_unreadable(reason: &str) -> String {
        format!("What was kept cannot be read: {reason}.")
    }
}

/// Many posts at once.
pub mod batch {
    use shared_model::batch::Figures;

    pub const TITLE: &str = "Many posts at once";
    pub const BEFORE_COMMAND: &str = "A file of posts, one JSON object per line, together with their pictures. The result is the file that ";
    pub const COMMAND: &str = "imn link";
    pub const AFTER_COMMAND: &str = " writes; where posts name their entity, it is counted how often the first candidate is right.";
    pub const FILES: &str = "Posts (.jsonl) and pictures: ";
    pub const SAVE: &str = "Save the results";
    pub const READING: &str = "Reading the files.";
    pub const ONE_FILE: &str = "One file of posts (.jsonl) is needed, and only one.";
    pub const MODEL_RESTARTED: &str = "The model was restarted: give the files again.";

    pub const PICTURE_NOT_GIVEN: &str = "the picture was not given";
    pub const NOT_UTF8: &str = "is not UTF-8";
    pub const NO_POSTS: &str = "there are no posts in it";
    pub const STOPPED: &str = "stopped, as something else was asked";

    pub fn done(done: usize, total: usize) -> String {
        format!("{done} of {total} posts.")
    }

    pub fn mentions(n: usize) -> String {
        format!("{n} mentions. No post names its entity.")
    }

    pub fn figures(n_mentions: usize, figures: &Figures) -> String {
        let Figures {
            n,
            p_at_1,
            r_at_3,
            r_at_10,
            mrr,
        } = figures;
        format!(
            "{n_mentions} mentions. Of {n} with an entity: P@1 {p_at_1:.3}, R@3 {r_at_3:.3}, R@10 {r_at_10:.3}, MRR {mrr:.3}."
        )
    }

    pub fn same_name(name: &str) -> String {
        format!(
            "Two files are called {name}: browsers do not tell their folders, so names have to differ."
        )
    }

    pub fn too_large(size: &str, limit: &str) -> String {
        format!(
            "The files are {size} together, and at most {limit} are linked here; `imn link` has no such limit."
        )
    }

    pub fn too_many(n: usize, limit: usize) -> String {
        format!("{n} posts; at most {limit} are linked here, and any number by `imn link`")
    }

    pub fn unreadable(name: &str, error: &str) -> String {
        format!("{name} cannot be read: {error}.")
    }

    pub fn post(file: &str, number: usize) -> String {
        format!("{file}, post {number}")
    }
}
